// What is HTML, for html-validate. A rule that is not applied stands here with its reason.
module.exports = {
  root: true,
  extends: ["html-validate:recommended", "html-validate:standard"],
};
