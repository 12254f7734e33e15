// What is HTML, for html-validate. A rule that is not applied stands here with its reason.
module.exports = {
  root: true,
  extends: ["html-validate:recommended", "html-validate:standard"],
  rules: {
    // Checkboxes of one name are a list, as radio buttons are.
    "form-dup-name": ["error", { shared: ["radio", "checkbox", "button", "reset", "submit"] }],
  },
};
