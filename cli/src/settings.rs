//! Settings: a flag wins over the environment, the environment over the file, the file over the default. Nothing else
//! in Cabildo reads the environment or a file of configuration.

use std::fmt;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use cabildo_consumers::verify::Background;
use cabildo_dashboards::{Access, Addresses};
use cabildo_events::limits::{GRAFANA_SECRET_BYTES_MAX, VERIFY_RATE_DEFAULT, WORKERS_DEFAULT, WORKERS_MAX};
use serde::Deserialize;

use crate::address::{Address, Port};
use crate::exit::Usage;
use crate::export::Traces;

/// The file that is read when it is there and no other is named.
const FILE: &str = "cabildo.toml";
/// Share of the requests that are traced when the operator does not say.
const TRACE_SAMPLE_DEFAULT: f64 = 0.01;
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const PROMETHEUS: &str = "http://127.0.0.1:9090";

/// Options of every command.
#[derive(clap::Args, Debug)]
pub(crate) struct General {
    /// File of settings [default: ./cabildo.toml, if it is there]
    #[arg(long, global = true, env = "CABILDO_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// What to log to stderr: error, warn, info, debug, trace, or a filter such as `info,cabildo_consumers=debug`
    /// [default: info for roles, warn for tools]
    #[arg(long, global = true, env = "CABILDO_LOG", value_name = "LEVEL")]
    log: Option<String>,
    /// How to write the log [default: text]
    #[arg(long, global = true, env = "CABILDO_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// Where events and views are kept.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct PlaceOptions {
    /// Folder of whatever is embedded [default: ./data]
    #[arg(long, env = "CABILDO_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// The events: file:DIR or nats://HOST:4222 [default: file:DATA]
    #[arg(long, env = "CABILDO_JOURNAL", value_name = "URL", hide_env_values = true)]
    journal: Option<String>,
    /// The counters (tallies, activity): file:DIR or redis://HOST:6379 [default: file:DATA]
    #[arg(long, env = "CABILDO_COUNTERS", value_name = "URL", hide_env_values = true)]
    counters: Option<String>,
    /// The documents (rooms, the log): file:DIR or mongodb://HOST:27017/cabildo [default: file:DATA]
    #[arg(long, env = "CABILDO_DOCUMENTS", value_name = "URL", hide_env_values = true)]
    documents: Option<String>,
}

/// Where the events are kept, for tools that need nothing else.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct JournalOptions {
    /// Folder of whatever is embedded [default: ./data]
    #[arg(long, env = "CABILDO_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// The events: file:DIR or nats://HOST:4222 [default: file:DATA]
    #[arg(long, env = "CABILDO_JOURNAL", value_name = "URL", hide_env_values = true)]
    journal: Option<String>,
}

/// Where everything is kept, for `cabildo verify`, to which `--journal` alone means something else.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct VerifyPlaceOptions {
    /// Folder of whatever is embedded [default: ./data]
    #[arg(long, env = "CABILDO_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Alone: check the journal itself, by its hash chains, instead of the views. With a URL: where the events are,
    /// file:DIR or nats://HOST:4222 [default: file:DATA]. May be given both ways
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "")]
    journal: Vec<String>,
    /// What the environment says of the journal
    #[arg(long, env = "CABILDO_JOURNAL", value_name = "URL", hide = true, hide_env_values = true)]
    journal_url: Option<String>,
    /// The counters (tallies, activity): file:DIR or redis://HOST:6379 [default: file:DATA]
    #[arg(long, env = "CABILDO_COUNTERS", value_name = "URL", hide_env_values = true)]
    counters: Option<String>,
    /// The documents (rooms, the log): file:DIR or mongodb://HOST:27017/cabildo [default: file:DATA]
    #[arg(long, env = "CABILDO_DOCUMENTS", value_name = "URL", hide_env_values = true)]
    documents: Option<String>,
}

impl VerifyPlaceOptions {
    /// Whether the journal itself is to be checked.
    pub(crate) fn checks_journal(&self) -> bool {
        self.journal.iter().any(String::is_empty)
    }

    /// The places.
    pub(crate) fn places(&self) -> PlaceOptions {
        let named = self.journal.iter().find(|url| !url.is_empty());
        PlaceOptions {
            data: self.data.clone(),
            journal: named.or(self.journal_url.as_ref()).cloned(),
            counters: self.counters.clone(),
            documents: self.documents.clone(),
        }
    }
}

/// Whether the views are checked in the background.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct VerifyOptions {
    /// How often to compare a share of the views with the journal: 90s, 30m, 1h, 1d, or off [default: off]
    #[arg(long, env = "CABILDO_VERIFY_EVERY", value_name = "TIME")]
    verify_every: Option<String>,
    /// How fast, at most: events read and rows compared a second [default: 20000]
    #[arg(long, env = "CABILDO_VERIFY_RATE", value_name = "N")]
    verify_rate: Option<u64>,
}

/// Where the gateway listens.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct ListenOptions {
    /// Address to serve on; port 0 takes any free one [default: 127.0.0.1:8080]
    #[arg(long, env = "CABILDO_LISTEN", value_name = "IP:PORT")]
    listen: Option<String>,
    /// Allow an address that others can reach. What is sent there, passwords too, is not encrypted: put a proxy with TLS
    /// before it. Whoever reaches it may read, talk and vote as a guest
    #[arg(
        long,
        env = "CABILDO_INSECURE_OPEN",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    insecure_open: Option<bool>,
}

/// How many workers fold events.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct WorkerOptions {
    /// Workers of each projection, 1 to 64 [default: 4]
    #[arg(long, env = "CABILDO_WORKERS", value_name = "N")]
    workers: Option<usize>,
}

/// Where a consumer can be watched.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct MetricsOptions {
    /// Address of /livez, /readyz and /metrics; port 0 takes any free one [default: not served]
    #[arg(long, env = "CABILDO_METRICS_LISTEN", value_name = "IP:PORT")]
    metrics_listen: Option<String>,
}

/// Where traces go.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct TraceOptions {
    /// Collector that traces are sent to, OTLP over HTTP: http://HOST:4318 [default: none are made]
    #[arg(long, env = "CABILDO_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Share of the requests that are traced, 0 to 1; one that comes with a trace goes by that [default: 0.01]
    #[arg(long, env = "CABILDO_TRACE_SAMPLE", value_name = "RATIO")]
    trace_sample: Option<f64>,
}

/// Which gateway a tool talks to.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct ServerOptions {
    /// The gateway [default: http://127.0.0.1:8080]
    #[arg(long, env = "CABILDO_SERVER", value_name = "URL")]
    server: Option<String>,
}

/// Which Grafana, and as whom.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct GrafanaOptions {
    /// Grafana's address, with the sub-path if it is served under one
    #[arg(long, env = "CABILDO_GRAFANA", value_name = "URL", hide_env_values = true)]
    grafana: Option<String>,
    /// File that holds the token of a service account with the role Admin, and nothing else
    #[arg(long, env = "CABILDO_GRAFANA_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A user, in place of a token
    #[arg(long, env = "CABILDO_GRAFANA_USER", value_name = "LOGIN")]
    user: Option<String>,
    /// File that holds the user's password
    #[arg(long, env = "CABILDO_GRAFANA_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Where Grafana finds the data.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct DataOptions {
    /// Prometheus, as Grafana's server reaches it [default: http://127.0.0.1:9090]
    #[arg(long, env = "CABILDO_PROMETHEUS", value_name = "URL")]
    prometheus: Option<String>,
    /// A gateway, as Grafana's server reaches it [default: http://127.0.0.1:8080]
    #[arg(long, env = "CABILDO_API", value_name = "URL")]
    api: Option<String>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// A file of settings: the same names as the flags, with `_` for `-`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    listen: Option<String>,
    insecure_open: Option<bool>,
    data: Option<PathBuf>,
    journal: Option<String>,
    counters: Option<String>,
    documents: Option<String>,
    workers: Option<usize>,
    metrics_listen: Option<String>,
    otlp_endpoint: Option<String>,
    trace_sample: Option<f64>,
    verify_every: Option<String>,
    verify_rate: Option<u64>,
    server: Option<String>,
    grafana: Option<String>,
    grafana_token_file: Option<PathBuf>,
    grafana_user: Option<String>,
    grafana_password_file: Option<PathBuf>,
    prometheus: Option<String>,
    api: Option<String>,
    log: Option<String>,
    log_format: Option<LogFormat>,
}

/// What the file and the general options say; the rest is resolved by those who need it.
#[derive(Debug)]
pub(crate) struct Settings {
    file: File,
    /// What to log, if anything was said about it.
    pub(crate) log: Option<String>,
    /// How to log.
    pub(crate) log_format: LogFormat,
}

/// Where everything is kept.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The events.
    pub(crate) journal: Address,
    /// The counters.
    pub(crate) counters: Address,
    /// The documents.
    pub(crate) documents: Address,
}

impl Settings {
    /// Reads the file that is named, or `./cabildo.toml` if there is one.
    pub(crate) fn read(general: &General) -> Result<Self, Usage> {
        let file = match &general.config {
            Some(path) => read_file(path)?,
            None if Path::new(FILE).exists() => read_file(Path::new(FILE))?,
            None => File::default(),
        };
        Ok(Self {
            log: general.log.clone().or_else(|| file.log.clone()),
            log_format: general.log_format.or(file.log_format).unwrap_or_default(),
            file,
        })
    }

    /// The journal, the counters and the documents.
    pub(crate) fn places(&self, options: &PlaceOptions) -> Result<Places, Usage> {
        let data = self.data(options.data.as_ref());
        let place = |port: Port, flag: &Option<String>, file: &Option<String>| match flag.as_ref().or(file.as_ref()) {
            Some(url) => Address::parse(port, url).map_err(Usage),
            None => Ok(Address::in_folder(&data)),
        };
        Ok(Places {
            journal: place(Port::Journal, &options.journal, &self.file.journal)?,
            counters: place(Port::Counters, &options.counters, &self.file.counters)?,
            documents: place(Port::Documents, &options.documents, &self.file.documents)?,
        })
    }

    /// The journal alone.
    pub(crate) fn journal(&self, options: &JournalOptions) -> Result<Address, Usage> {
        let options =
            PlaceOptions { data: options.data.clone(), journal: options.journal.clone(), ..PlaceOptions::default() };
        Ok(self.places(&options)?.journal)
    }

    fn data(&self, flag: Option<&PathBuf>) -> PathBuf {
        flag.or(self.file.data.as_ref()).cloned().unwrap_or_else(|| PathBuf::from("./data"))
    }

    /// Where the gateway listens. An address that others can reach is refused unless that is asked for.
    pub(crate) fn listen(&self, options: &ListenOptions) -> Result<SocketAddr, Usage> {
        let listen = match options.listen.as_ref().or(self.file.listen.as_ref()) {
            Some(text) => parse_listen(text).map_err(|error| Usage(format!("listen: {error}")))?,
            None => LISTEN,
        };
        let open = options.insecure_open.or(self.file.insecure_open).unwrap_or(false);
        if !listen.ip().is_loopback() && !open {
            return Err(Usage(format!(
                "{listen} can be reached by others; what is sent there, passwords too, is not encrypted, and whoever reaches \
                 it may talk and vote as a guest: listen on 127.0.0.1, or add --insecure-open if that is what you want"
            )));
        }
        Ok(listen)
    }

    /// Where a consumer serves its metrics, if anywhere.
    pub(crate) fn metrics_listen(&self, options: &MetricsOptions) -> Result<Option<SocketAddr>, Usage> {
        options
            .metrics_listen
            .as_ref()
            .or(self.file.metrics_listen.as_ref())
            .map(|text| parse_listen(text).map_err(|error| Usage(format!("metrics_listen: {error}"))))
            .transpose()
    }

    /// Where a role's traces go, if anywhere.
    pub(crate) fn traces(&self, options: &TraceOptions, service: &'static str) -> Result<Option<Traces>, Usage> {
        let Some(endpoint) = options.otlp_endpoint.as_ref().or(self.file.otlp_endpoint.as_ref()) else {
            return Ok(None);
        };
        let sample = options.trace_sample.or(self.file.trace_sample).unwrap_or(TRACE_SAMPLE_DEFAULT);
        if !(0.0..=1.0).contains(&sample) {
            return Err(Usage(format!("trace_sample: {sample} is not between 0 and 1")));
        }
        let endpoint = collector(endpoint).map_err(|error| Usage(format!("otlp_endpoint: {error}")))?;
        Ok(Some(Traces { endpoint, sample, service }))
    }

    /// Workers of each projection.
    pub(crate) fn workers(&self, options: &WorkerOptions) -> Result<usize, Usage> {
        let workers = options.workers.or(self.file.workers).unwrap_or(WORKERS_DEFAULT);
        if (1..=WORKERS_MAX).contains(&workers) {
            Ok(workers)
        } else {
            Err(Usage(format!("workers: {workers} is not between 1 and {WORKERS_MAX}")))
        }
    }

    /// The check of the views in the background, if there is to be one.
    pub(crate) fn verify(&self, options: &VerifyOptions) -> Result<Option<Background>, Usage> {
        let per_second = options.verify_rate.or(self.file.verify_rate).unwrap_or(VERIFY_RATE_DEFAULT);
        if per_second == 0 {
            return Err(Usage("verify_rate: 0 a second never ends: use 1 or more, or --verify-every off".to_owned()));
        }
        match options.verify_every.as_deref().or(self.file.verify_every.as_deref()) {
            None | Some("off") => Ok(None),
            Some(text) => match parse_every(text) {
                Some(every) => Ok(Some(Background { every, per_second })),
                None => Err(Usage(format!("verify_every: `{text}` is no time: use 90s, 30m, 1h, 1d, or off"))),
            },
        }
    }

    /// The gateway that a tool talks to.
    pub(crate) fn server(&self, options: &ServerOptions) -> String {
        let server = options.server.as_ref().or(self.file.server.as_ref());
        server.cloned().unwrap_or_else(|| format!("http://{LISTEN}"))
    }
}

/// Which Grafana, and who asks.
pub(crate) struct GrafanaSettings {
    /// Its address.
    pub(crate) address: String,
    /// Who asks.
    pub(crate) access: Access,
}

impl Settings {
    /// Whether a Grafana was named.
    pub(crate) fn names_grafana(&self, options: &GrafanaOptions) -> bool {
        options.grafana.is_some() || self.file.grafana.is_some()
    }

    /// The Grafana that a tool talks to, with the secret out of its file.
    pub(crate) fn grafana(&self, options: &GrafanaOptions) -> Result<GrafanaSettings, Usage> {
        let address = options.grafana.as_ref().or(self.file.grafana.as_ref());
        let address = address.ok_or_else(|| Usage("which Grafana? Add --grafana URL".to_owned()))?.clone();
        let token_file = options.token_file.as_ref().or(self.file.grafana_token_file.as_ref());
        let user = options.user.as_ref().or(self.file.grafana_user.as_ref());
        let password_file = options.password_file.as_ref().or(self.file.grafana_password_file.as_ref());
        let access = match (token_file, user, password_file) {
            (Some(file), None, None) => Access::Token(read_secret(file)?),
            (None, Some(user), Some(file)) => Access::Password { user: user.clone(), password: read_secret(file)? },
            _ => {
                return Err(Usage(
                    "Grafana must know who asks: add --token-file FILE (the token of a service account with the role Admin), or \
                     --user with --password-file, not both"
                        .to_owned(),
                ));
            }
        };
        Ok(GrafanaSettings { address, access })
    }

    /// Where Grafana finds the data.
    pub(crate) fn data_addresses(&self, options: &DataOptions) -> Addresses {
        let chosen = |flag: &Option<String>, file: &Option<String>, default: &str| {
            flag.as_ref()
                .or(file.as_ref())
                .map_or_else(|| default.to_owned(), |url| url.trim_end_matches('/').to_owned())
        };
        Addresses {
            prometheus: chosen(&options.prometheus, &self.file.prometheus, PROMETHEUS),
            api: chosen(&options.api, &self.file.api, &format!("http://{LISTEN}")),
        }
    }
}

/// The one line of a file that is a secret. No error tells it.
fn read_secret(path: &Path) -> Result<String, Usage> {
    let wrong = |error: &dyn fmt::Display| Usage(format!("{}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    let mut text = String::new();
    let read = file.take(GRAFANA_SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| wrong(&error))?;
    if read as u64 > GRAFANA_SECRET_BYTES_MAX {
        return Err(wrong(&format_args!(
            "it is larger than {GRAFANA_SECRET_BYTES_MAX} bytes: it must hold the secret alone"
        )));
    }
    let secret = text.trim();
    if secret.is_empty() { Err(wrong(&"it is empty")) } else { Ok(secret.to_owned()) }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "journal {}, counters {}, documents {}", self.journal, self.counters, self.documents)
    }
}

/// Whether colours are unwanted, whatever the terminal: <https://no-color.org>.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub(crate) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn read_file(path: &Path) -> Result<File, Usage> {
    let wrong = |error: &dyn fmt::Display| Usage(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    config::Config::builder()
        .add_source(config::File::from_str(&text, config::FileFormat::Toml))
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|error| wrong(&error))
}

fn parse_every(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(seconds)?;
    // A turn each second is as often as makes sense; a year is as good as never.
    (1..=366 * 86_400).contains(&seconds).then(|| Duration::from_secs(seconds))
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    SocketAddr::from_str(numeric.as_deref().unwrap_or(text)).map_err(|_| {
        format!("`{text}` is no address: use IP:PORT, for example 127.0.0.1:8080 (port 0 takes any free one)")
    })
}

/// The address of a collector's traces: a bare one gets the standard's path.
fn collector(url: &str) -> Result<String, String> {
    let example = "use http://HOST:PORT, for example http://127.0.0.1:4318";
    let uri: hyper::Uri = url.parse().map_err(|_| format!("`{url}` is no address: {example}"))?;
    match (uri.scheme_str(), uri.host(), uri.path()) {
        (Some("https"), ..) => {
            Err(format!("`{url}`: traces are sent over plain HTTP, to a collector nearby: {example}"))
        }
        (Some("http"), Some(_), "" | "/") => Ok(format!("{}/v1/traces", url.trim_end_matches('/'))),
        (Some("http"), Some(_), _) => Ok(url.to_owned()),
        _ => Err(format!("`{url}` is no address of a collector: {example}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(toml: &str) -> Result<Settings, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, toml).unwrap();
        Settings::read(&General { config: Some(path), log: None, log_format: None }).map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let read = settings("workers = 7\nlisten = \"127.0.0.1:9\"\ndata = \"elsewhere\"").unwrap();
        assert_eq!(read.workers(&WorkerOptions { workers: None }).unwrap(), 7);
        assert_eq!(read.workers(&WorkerOptions { workers: Some(3) }).unwrap(), 3);
        assert_eq!(read.listen(&ListenOptions::default()).unwrap().port(), 9);
        assert_eq!(read.places(&PlaceOptions::default()).unwrap().counters.expose(), "file:elsewhere");
        assert_eq!(settings("").unwrap().listen(&ListenOptions::default()).unwrap(), LISTEN);
    }

    #[test]
    fn an_unknown_key_is_named_with_the_known_ones() {
        let error = settings("colour = 1").unwrap_err();
        assert!(error.contains("`colour`") && error.contains("`workers`") && error.contains("`listen`"), "{error}");
    }

    #[test]
    fn a_collector_is_an_http_address_and_a_share_is_a_share() {
        let read = settings("trace_sample = 0.5\notlp_endpoint = \"http://localhost:4318\"").unwrap();
        let traces = |endpoint: &str, trace_sample| {
            let options = TraceOptions { otlp_endpoint: Some(endpoint.to_owned()), trace_sample };
            read.traces(&options, "cabildo").map_err(|error| error.to_string())
        };
        let found = read.traces(&TraceOptions::default(), "cabildo").unwrap().unwrap();
        assert_eq!((found.endpoint.as_str(), found.sample), ("http://localhost:4318/v1/traces", 0.5));
        assert_eq!(traces("http://c:1/otlp", Some(1.0)).unwrap().unwrap().endpoint, "http://c:1/otlp");
        assert!(traces("https://c:1", None).unwrap_err().contains("plain HTTP"));
        assert!(traces("c:4318", None).unwrap_err().contains("http://HOST:PORT"));
        assert!(traces("http://c", Some(1.5)).unwrap_err().contains("between 0 and 1"));
        assert_eq!(settings("").unwrap().traces(&TraceOptions::default(), "cabildo").unwrap(), None);
    }

    #[test]
    fn the_background_check_is_off_until_it_is_asked_for() {
        let every = |text: &str| VerifyOptions { verify_every: Some(text.to_owned()), verify_rate: None };
        let read = settings("verify_every = \"30m\"").unwrap();
        let background = read.verify(&VerifyOptions::default()).unwrap().unwrap();
        assert_eq!((background.every.as_secs(), background.per_second), (1_800, VERIFY_RATE_DEFAULT));
        assert_eq!(read.verify(&every("off")).unwrap(), None);
        assert_eq!(settings("").unwrap().verify(&VerifyOptions::default()).unwrap(), None);
        for wrong in ["", "h", "0s", "1", "-1h", "ñ", "1 h", "99999999999999999999d"] {
            let error = read.verify(&every(wrong)).unwrap_err().to_string();
            assert!(error.contains("90s, 30m, 1h"), "{error}");
        }
        assert!(read.verify(&VerifyOptions { verify_every: None, verify_rate: Some(0) }).is_err());
    }

    #[test]
    fn a_public_address_is_refused_until_asked_for() {
        let read = settings("").unwrap();
        let listen = |insecure_open| ListenOptions { listen: Some("0.0.0.0:80".into()), insecure_open };
        assert!(read.listen(&listen(None)).unwrap_err().to_string().contains("--insecure-open"));
        assert!(read.listen(&listen(Some(true))).is_ok());
        let bad = ListenOptions { listen: Some("8080".into()), insecure_open: None };
        assert!(read.listen(&bad).unwrap_err().to_string().contains("IP:PORT"));
    }
}
