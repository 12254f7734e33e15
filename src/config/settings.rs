//! Every setting there is: its flag, its variables, its default. Flags, the keys of the file,
//! `.env.example`, help and the log of where a value came from are all made of this table.
//!
//! # Invariants
//! - A secret has no flag: command lines are seen by other users of the machine.

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// What the rest of the program calls it, and the flag without its dashes.
    pub name: &'static str,
    /// The variables that set it; the first that is set counts.
    pub variables: &'static [&'static str],
    /// What holds where nothing is set.
    pub default: Option<&'static str>,
    /// What holds there in an extension of Orbit, which runs on Orbit's own host.
    pub in_extension: Option<&'static str>,
    /// How its value is given.
    pub kind: Kind,
    /// What people read in `--help` and `.env.example`.
    pub help: &'static str,
    /// What stands for the value in `--help`.
    pub value: &'static str,
}

/// How a value is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One value, by flag or variable.
    One,
    /// Several values, by spaces after the flag or commas anywhere.
    Several,
    /// true or false; the flag alone means true.
    Switch,
    /// By variable or `…_FILE` only.
    Secret,
}

/// All settings, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    one(
        "config",
        &["RELAY_CONFIG"],
        None,
        "FILE.toml",
        "Configuration file, which may hold all other settings, and destinations",
    ),
    one(
        "config-dir",
        &["CONFIG_DIR"],
        None,
        "DIR",
        "Folder that may hold `.env`, `relay.toml` and `assets.csv`, and is watched; by flag or \
         environment only",
    ),
    one(
        "package-dir",
        &["PACKAGE_DIR"],
        None,
        "DIR",
        "Folder of a package, whose `.env` is taken into the data directory; by flag or environment \
         only",
    ),
    Setting {
        in_extension: Some("gateway"),
        ..one(
            "hostname",
            &["ORBIT_HOSTNAME"],
            None,
            "HOST[:PORT]",
            "Orbit's address; `gateway`: the machine that this container runs on",
        )
    },
    one(
        "verify",
        &["ORBIT_VERIFY"],
        Some("true"),
        "true|false|FILE|PIN",
        "Check Orbit's certificate: true, false, a CA bundle's path, or sha256:… of Orbit's own one, \
         whatever its name and expiry; several by commas",
    ),
    Setting {
        kind: Kind::Several,
        ..one(
            "cert",
            &["ORBIT_CERT"],
            None,
            "FILE",
            "Certificate shown to Orbit: one PEM file, or certificate and key",
        )
    },
    Setting {
        in_extension: Some("127.0.0.1,gateway"),
        ..one(
            "webhook-host",
            &["WEBHOOK_HOST"],
            Some("0.0.0.0"),
            "HOSTS",
            "This machine's address as Orbit reaches it; several by commas are tried in order; `gateway`: \
         the machine that this container runs on; `none` where it cannot: Orbit is then polled",
        )
    },
    one(
        "webhook-port",
        &["WEBHOOK_PORT"],
        Some("21600"),
        "PORT",
        "Port that takes events",
    ),
    one(
        "bind",
        &["BIND"],
        Some("0.0.0.0"),
        "IP",
        "Address that the webhook port listens on",
    ),
    one(
        "tls-cert",
        &["TLS_CERT"],
        None,
        "FILE.pem",
        "Certificate of the webhook port, which then speaks HTTPS; may hold chain and key",
    ),
    one(
        "tls-key",
        &["TLS_KEY"],
        None,
        "FILE.pem",
        "Key of that certificate, where it has a file of its own",
    ),
    one(
        "ops-bind",
        &["OPS_BIND"],
        Some("127.0.0.1:22101"),
        "IP:PORT",
        "Address of health, metrics and the page",
    ),
    Setting {
        kind: Kind::Several,
        ..one(
            "page-orbit",
            &["PAGE_ORBIT"],
            None,
            "ORIGINS",
            "How browsers reach Orbit, whose frame the page may stand in, such as \
             https://orbit.plant.example; several by commas",
        )
    },
    Setting {
        kind: Kind::Several,
        ..one(
            "page-proxy",
            &["PAGE_PROXY"],
            None,
            "NETWORKS",
            "Addresses of reverse proxies that log people in to the page; several by commas",
        )
    },
    one(
        "page-proxy-header",
        &["PAGE_PROXY_HEADER"],
        None,
        "HEADER",
        "The header in which those proxies name the account, such as X-Remote-User",
    ),
    Setting {
        kind: Kind::Several,
        ..one(
            "payload-types",
            &["PAYLOAD_TYPES"],
            Some("ACTION_COMPLETED,ACTION_COMPLETED_WITH_ALERT"),
            "TYPES",
            "Event types that the webhook subscribes to and that are forwarded, by commas",
        )
    },
    switch(
        "forward-test",
        &["FORWARD_TEST"],
        "false",
        "Forward test payloads too",
    ),
    switch(
        "enabled",
        &["WEBHOOK_ENABLED"],
        "true",
        "Whether the webhook is enabled in Orbit",
    ),
    switch(
        "validate-tls-cert",
        &["WEBHOOK_VALIDATE_TLS_CERT"],
        "true",
        "Whether Orbit checks the certificate of the webhook's address",
    ),
    one(
        "manage",
        &["WEBHOOK_MANAGE"],
        Some("repair"),
        "repair|observe|off",
        "What is done about a webhook that is not as it should be: set right, only said, nothing",
    ),
    one(
        "on-exit",
        &["WEBHOOK_ON_EXIT"],
        Some("keep"),
        "keep|disable|delete",
        "What becomes of the webhook in Orbit while the relay is stopped",
    ),
    one(
        "max-age",
        &["MAX_AGE"],
        Some("5m"),
        "DURATION",
        "How old, or how early, a signature may be",
    ),
    switch(
        "backfill",
        &["BACKFILL"],
        "true",
        "Whether what the webhook missed is looked for in Orbit",
    ),
    one(
        "backfill-first",
        &["BACKFILL_FIRST"],
        Some("now"),
        "WHEN",
        "Where a first install begins: now, so long ago, or a time like 2026-11-01T00:00:00Z",
    ),
    one(
        "backfill-rate",
        &["BACKFILL_RATE"],
        Some("2/s"),
        "RATE",
        "How often backfill may ask Orbit, like 2/s or 30/m",
    ),
    one(
        "data-dir",
        &["DATA_DIR"],
        Some("./data"),
        "DIR",
        "Where the journal and the secret are kept",
    ),
    one(
        "keep-delivered",
        &["KEEP_DELIVERED"],
        Some("30d"),
        "DURATION",
        "How long delivered events stay in the journal",
    ),
    one(
        "journal-limit",
        &["JOURNAL_LIMIT"],
        Some("4GiB"),
        "SIZE",
        "How large the journal may grow, like 500MB or 2GiB; at least 64MiB",
    ),
    one(
        "asset-map",
        &["ASSET_MAP"],
        None,
        "FILE.csv",
        "Which asset an action is about",
    ),
    one(
        "integration-url",
        &["INTEGRATION_URL", "BACKEND_URL"],
        None,
        "URL",
        "Where inspections are posted",
    ),
    secret(
        "integration-auth",
        &["INTEGRATION_AUTH"],
        "Authentication there: `Bearer …`, `Basic user:password`, or `Header-Name: value`",
    ),
    secret(
        "work-orders-auth",
        &["WORK_ORDERS_AUTH"],
        "What Orbit's work-order integration shows at /work-orders: `Header-Name: value`",
    ),
    one(
        "integration-ca",
        &["INTEGRATION_CA"],
        None,
        "FILE.pem",
        "Certificate authority that is believed there besides the public ones",
    ),
    one(
        "images",
        &["IMAGES"],
        Some("embed"),
        "embed|link|attach|none",
        "Pictures in what the integration URL gets: in the body as base64, their addresses, beside \
         it as multipart/form-data, or none",
    ),
    one(
        "log-format",
        &["LOG_FORMAT"],
        Some("text"),
        "text|json",
        "Form of the log",
    ),
    one(
        "log-level",
        &["LOG_LEVEL"],
        Some("info"),
        "LEVEL",
        "error, warn, info, debug or trace",
    ),
    one(
        "time-zone",
        &["TZ"],
        Some("UTC"),
        "ZONE",
        "Time zone of the log's times, like Europe/Berlin",
    ),
    secret(
        "api-token",
        &[
            "ORBIT_API_TOKEN",
            "API_TOKEN",
            "BOSDYN_ORBIT_CLIENT_API_TOKEN",
        ],
        "Orbit's API token",
    ),
    secret(
        "webhook-secret",
        &["WEBHOOK_SECRET", "SECRET"],
        "Webhook secret, 64 hex characters; made at first start if there is a token",
    ),
];

/// The setting that this variable sets, or whose secret it names a file for with `_FILE`.
pub fn of_variable(name: &str) -> Option<&'static Setting> {
    let bare = name.strip_suffix("_FILE").unwrap_or(name);
    SETTINGS
        .iter()
        .find(|setting| setting.variables.contains(&bare))
}

const fn one(
    name: &'static str,
    variables: &'static [&'static str],
    default: Option<&'static str>,
    value: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        name,
        variables,
        default,
        in_extension: None,
        kind: Kind::One,
        help,
        value,
    }
}

const fn switch(
    name: &'static str,
    variables: &'static [&'static str],
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        name,
        variables,
        default: Some(default),
        in_extension: None,
        kind: Kind::Switch,
        help,
        value: "BOOL",
    }
}

const fn secret(
    name: &'static str,
    variables: &'static [&'static str],
    help: &'static str,
) -> Setting {
    Setting {
        name,
        variables,
        default: None,
        in_extension: None,
        kind: Kind::Secret,
        help,
        value: "",
    }
}
