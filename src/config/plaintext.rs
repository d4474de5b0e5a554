//! What the configuration would send without encryption to another machine although it lets somebody in.
//! OPA does so without a word; here it is a warning at the start. Nothing is refused for it: something
//! else may encrypt on the way.

use url::Url;

use super::Config;
use crate::address::names_loopback;
use crate::bundle::{BundleSource, BundleUrl, Credentials, SourceUrl};
use crate::sinks::SinkConfig;

impl Config {
    /// What goes over plain HTTP or an open connection, each once: the setting, and what to do.
    pub fn plaintext_warnings(&self) -> Vec<String> {
        let bundles = self.bundles.iter();
        let mut warnings: Vec<_> = bundles
            .flat_map(|(name, source)| of_bundle(&format!("bundles.{name}"), source))
            .collect();
        let sinks = self.decision_log.sinks.iter();
        warnings.extend(
            sinks.flat_map(|sink| of_sink(&format!("decision_log.sinks[{}]", sink.name()), sink)),
        );
        let exporter = self.traces.exporter();
        warnings.extend(
            exporter
                .iter()
                .flat_map(|exporter| of_sink("traces", exporter)),
        );
        warnings
    }
}

fn of_bundle(place: &str, source: &BundleSource) -> Vec<String> {
    let asks = !source.headers.is_empty() || source.credentials.is_some();
    let mut warnings = Vec::new();
    if let Some(BundleUrl::Server(url)) = source.url.as_ref().filter(|_| asks) {
        warnings.extend(of_url(&format!("{place}.url"), url));
    }
    let endpoint = source.object_store.as_ref();
    let endpoint = endpoint.and_then(|store| store.endpoint.as_ref());
    if let Some(endpoint) = endpoint.filter(|_| asks) {
        warnings.extend(of_url(&format!("{place}.object_store.endpoint"), endpoint));
    }
    warnings.extend(of_token(place, source.credentials.as_ref()));
    warnings
}

fn of_sink(place: &str, sink: &SinkConfig) -> Vec<String> {
    let asks = !sink.headers.is_empty() || sink.credentials.is_some();
    let mut warnings = Vec::new();
    if let Some(url) = sink.url.as_ref().filter(|_| asks) {
        warnings.extend(of_url(&format!("{place}.url"), url));
    }
    warnings.extend(of_token(place, sink.credentials.as_ref()));
    let is_open = sink.sasl.is_some() && sink.tls.is_none();
    let mut brokers = sink.brokers.iter().map(ToString::to_string);
    if let Some(broker) = brokers.find(|broker| is_open && !is_loopback(broker)) {
        warnings.push(format!(
            "`{place}.sasl`: who may produce is told to {broker} without encryption, so that the \
             password can be guessed from it; set `tls: {{}}`, and ask a port of the broker that \
             speaks TLS"
        ));
    }
    warnings
}

/// Of where tokens are fetched with a password.
fn of_token(place: &str, credentials: Option<&Credentials>) -> Option<String> {
    match credentials {
        Some(Credentials::OAuth2(oauth2)) => of_url(
            &format!("{place}.credentials.oauth2.token_url"),
            &oauth2.token_url,
        ),
        _ => None,
    }
}

fn of_url(place: &str, url: &SourceUrl) -> Option<String> {
    let url = url.url();
    let is_open = url.scheme() == "http" && !names_loopback(url);
    is_open.then(|| {
        format!(
            "`{place}`: credentials are sent to {} without encryption; use an `https` URL, or have \
             something on this machine encrypt and name that",
            url.host_str().unwrap_or_default()
        )
    })
}

fn is_loopback(broker: &str) -> bool {
    Url::parse(&format!("http://{broker}")).is_ok_and(|url| names_loopback(&url))
}
