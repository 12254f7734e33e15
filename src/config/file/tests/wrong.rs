//! Every problem is named by its line, all at once, and without a secret.

use super::*;

#[test]
fn all_problems_of_a_file_are_said_at_once_in_the_order_of_its_lines() {
    insta::assert_snapshot!(problems(
        "hostnme = \"x\"\nmax_age = \"soon\"\nwebhook_port = \"x\"\nlog_level = \"inof\"\n\
         enabled = \"true\"\nnotify = [\"teems\", 5]\n\n[[destination]]\nname = \"teams\"\n\
         url = \"ftp://x\"\nretrry = {}\nonce_per = \"inspect\"\nauth = { type = \"barer\" }\n\
         timeout = 30\nnotify = []\n\n[[destination]]\nname = \"teams\"\n"
    ));
}

#[test]
fn what_is_wrong_at_the_top_level_is_named() {
    let wrong: Vec<_> = [
        "config = \"other.toml\"",
        "webhook-host = \"me\"",
        "webhook_port = 70000",
        "webhook_port = -1",
        "enabled = 1",
        "verify = 1",
        "verify = \"/nowhere.pem\"",
        "payload_types = []",
        "payload_types = [\"A B\"]",
        "payload_types = [1]",
        "journal_limit = \"1MB\"",
        "journal_limit = 5000000000",
        "keep_delivered = \"0s\"",
        "keep_delivered = 1979-05-27",
        "log_format = \"xml\"",
        "api_token = 5",
        "api_token = { env = \"MISSING\" }",
        "api_token = { env = \"EMPTY\" }",
        "api_token = { file = \"/nowhere/token\" }",
        "api_token = {}",
        "api_token = { evn = \"SET\" }",
        "webhook_secret = \"canary\"",
        "webhook_secret = { env = \"SET\" }",
        "integration_auth = \"canary\"",
        "integration_url = \"http://169.254.169.254/\"",
        "integration_url = \"http://me:canary@\"",
        "notify = \"teams\"",
        "notify = [\"teams\"]",
        "expect_every = \"daily\"",
        "[destination]\nname = \"x\"",
        "destination = 5",
        "destinations = []",
    ]
    .into_iter()
    .map(problems)
    .collect();
    insta::assert_snapshot!(wrong.join("\n"));
}

#[test]
fn what_is_wrong_with_a_destination_is_named() {
    let wrong: Vec<_> = [
        "urll = 1",
        "id = \"With Spaces\"",
        "id = \"\"",
        "events = []",
        "events = \"ACTION_COMPLETED\"",
        "events = [\"action completed\"]",
        "when = \"inspection.severity >=\"",
        "when = \"inspction.severity >= 3 and x\"",
        "when = \"event.type is strange\"",
        "when = \"event.type | strange\"",
        "when = true",
        "order_by = \"assets\"",
        "headers = \"X-Key: canary\"",
        "headers = { \"Bad Name\" = \"x\" }",
        "headers = { Idempotency-Key = \"x\" }",
        "headers = { X-Key = \"can\\nary\" }",
        "headers = { Authorization = \"canary\" }\nauth = { type = \"bearer\", token = \"canary\" }",
        "timeout = \"1h\"",
        "max_in_flight = 0",
        "max_in_flight = \"4\"",
        "rate_limit = \"10/d\"",
        "retry = \"never\"",
        "retry = { schedule = [\"0s\", \"x\", 5], then_every = \"0s\", give_up_after = \"nevr\", jitter = 2 }",
        "success = { status = [200, 301, 99, \"x\"], whn = \"\" }",
        "success = { when = \"inspection.severity\" }",
        "proxy = \"socks5://me:canary@proxy\"",
        "allow_addresses = [\"x\"]",
        "tls = { ca_file = \"/nowhere.pem\" }",
        "tls = { client_key_file = \"/nowhere.key\" }",
        "tls = { client_cert_file = \"/nowhere.pem\", client_key_file = \"/nowhere.key\" }",
        "name = \"twice\"",
    ]
    .into_iter()
    .map(of_destination)
    .chain(
        [
            "",
            "name = \"x\"\nurl = \"http://169.254.10.20/\"",
            "name = \"x\"\nurl = \"http://[::ffff:100.100.100.200]/\"",
            "name = \"x\"\nurl = \"http://me:canary@x/\"\nauth = { type = \"none\" }",
            "name = 5\nurl = 5",
            "name = \"x\"\nid = \"cmms\"\nurl = \"http://x/\"\n[[destination]]\nname = \"cmms\"\nurl = \"http://x/\"",
        ]
        .map(|keys| problems(&format!("[[destination]]\n{keys}\n"))),
    )
    .collect();
    insta::assert_snapshot!(wrong.join("\n"));
}

#[test]
fn what_is_wrong_with_credentials_is_named_without_them() {
    let wrong: Vec<_> = [
        "auth = \"Bearer canary\"",
        "auth = {}",
        "auth = { type = \"Bearer canary\" }",
        "auth = { type = \"bearer\" }",
        "auth = { type = \"bearer\", tokn = \"canary\" }",
        "auth = { type = \"bearer\", token = 12345 }",
        "auth = { type = \"bearer\", token = \"\" }",
        "auth = { type = \"bearer\", token = \"can\\u0007ary\" }",
        "auth = { type = \"bearer\", token = { env = \"MISSING\" } }",
        "auth = { type = \"bearer\", token = { env = \"canary-itself\" } }",
        "auth = { type = \"bearer\", token = { env = \"SET\", file = \"/x\" } }",
        "auth = { type = \"bearer\", token = { file = \"/nowhere/token\" } }",
        "auth = { type = \"bearer\", user = \"x\", token = \"canary\" }",
        "auth = { type = \"basic\", user = \"a:b\", password = \"canary\" }",
        "auth = { type = \"basic\" }",
        "auth = { type = \"header\", name = \"Bad Name\", value = \"canary\" }",
        "auth = { type = \"oauth2\", token_url = \"https://me:canary@x/\", client_id = \"\", client_secret = \"canary\" }",
        "auth = { type = \"oauth2\", token_url = \"http://169.254.169.254/\", client_id = \"x\", client_secret = \"canary\" }",
        "sign = { scheme = \"standard-webhook\", secret = \"canary\" }",
        "sign = { scheme = \"standard-webhooks\", secret = \"canary\" }",
        "sign = { scheme = \"standard-webhooks\", secret = \"whsec_Y2FuYXJ5\" }",
        "sign = { scheme = \"standard-webhooks\" }",
        "sign = { scheme = \"standard-webhooks\", secrets = [\"canary\", { env = \"SET\" }, { env = \"MISSING\" }] }",
        "sign = { scheme = \"hmac\", header = \"Webhook-Id\", algorithm = \"md5\", encoding = \"hx\", secret = \"canary\" }",
        "sign = { scheme = \"hmac\", secret = { env = \"EMPTY\" } }",
    ]
    .into_iter()
    .map(of_destination)
    .collect();
    let wrong = wrong.join("\n");
    assert!(
        !wrong.contains("canary") && !wrong.contains("Y2Fu"),
        "{wrong}"
    );
    insta::assert_snapshot!(wrong);
}

#[test]
fn what_is_no_toml_is_named_by_line_and_key_and_not_repeated() {
    let wrong: Vec<_> = [
        "api_token = \"canary\nmax_age = \"5m\"\n",
        "max_age = \"5m\"\napi_token = canary\n",
        "max_age = 5m\n",
        "[[destination]\n",
        "canary\n",
        "max_age = \"5m\"\nmax_age = \"canary\"\nhostnme = \"x\"\n",
        "a = '''\ncanary=\n",
        "auth = { type = \"bearer\", token = \"canary\n",
    ]
    .into_iter()
    .map(problems)
    .collect();
    let wrong = wrong.join("\n");
    assert!(!wrong.contains("canary"), "{wrong}");
    insta::assert_snapshot!(wrong);
    let not_utf8 = Config::load(&Input {
        file: Some(toml("relay.toml", b"a = 1\nb = \"\xff\"\n")),
        ..Input::default()
    });
    let error = not_utf8.unwrap_err().to_string();
    assert_eq!(error, "relay.toml:2: not UTF-8; save the file as UTF-8");
}
