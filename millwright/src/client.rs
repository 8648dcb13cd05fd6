//! A client of a running system: one command over MQTT, one page over HTTPS.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use mw_contract::{AccountName, Context, Reply, topics};
use rumqttc::Transport;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, Packet, PublishProperties, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, MqttOptions};
use uuid::Uuid;

use crate::cli::Remote;
use crate::{config, tls};

/// Where MQTT is: scheme, host, port.
pub struct MqttUrl {
    /// Over TLS?
    pub tls: bool,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Reads `mqtt://HOST:PORT` or `mqtts://HOST:PORT`.
pub fn mqtt_url(text: &str) -> Result<MqttUrl> {
    let (scheme, rest) = text.split_once("://").with_context(|| format!("{text}: write it as mqtts://HOST:8883"))?;
    let tls = match scheme {
        "mqtt" => false,
        "mqtts" => true,
        other => bail!("{text}: scheme {other} is not mqtt or mqtts"),
    };
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        Some((h, p)) if !p.contains(']') => (h, p.parse().with_context(|| format!("{text}: port {p}"))?),
        _ => (rest, if tls { 8883 } else { 1883 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(MqttUrl { tls, host, port })
}

/// The account and what proves it.
pub fn credentials(remote: &Remote) -> Result<(String, String)> {
    let account = remote.account.clone().context("which account? give --account or MILLWRIGHT_ACCOUNT")?;
    if let Some(t) = &remote.token {
        return Ok((account, t.clone()));
    }
    let secret = match config::secret("MILLWRIGHT_SECRET", None)? {
        Some(s) => s,
        None => prompt(&account)?,
    };
    Ok((account, secret))
}

fn prompt(account: &str) -> Result<String> {
    use std::io::{BufRead, IsTerminal, Write};
    if !std::io::stdin().is_terminal() {
        bail!("no secret for {account}: set MILLWRIGHT_SECRET or MILLWRIGHT_SECRET_FILE, or give --token");
    }
    eprint!("Secret of {account}: ");
    std::io::stderr().flush().ok();
    // The terminal stops echoing while the secret is typed; stty restores it whatever happens.
    let quiet = std::process::Command::new("stty").arg("-echo").status().is_ok_and(|s| s.success());
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if quiet {
        std::process::Command::new("stty").arg("echo").status().ok();
        eprintln!();
    }
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// MQTT 5 options for a connection of `account`.
pub fn options(remote: &Remote, client_id: &str, account: &str, secret: &str) -> Result<MqttOptions> {
    let url = mqtt_url(&remote.mqtt)?;
    let mut o = MqttOptions::new(client_id, url.host, url.port);
    o.set_credentials(account, secret);
    o.set_keep_alive(Duration::from_secs(30));
    o.set_clean_start(true);
    let mut network = o.network_options();
    network.set_tcp_nodelay(true);
    o.set_network_options(network);
    if url.tls {
        let ca = remote
            .ca
            .as_ref()
            .context("mqtts needs the server's CA: --ca FILE (for a development system DIR/tls/ca.pem)")?;
        o.set_transport(Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(tls::client(ca)?)));
    }
    Ok(o)
}

/// Sends one command and waits for its reply. An `Err` is "could not be sent": nothing is known
/// of its outcome, and sending it again under the same id is safe.
pub async fn send(remote: &Remote, context: Context, payload: Vec<u8>, timeout: Duration) -> Result<Reply> {
    let (account, secret) = credentials(remote)?;
    let name = AccountName::new(&account)?;
    let client_id = format!("send-{}", Uuid::now_v7().simple());
    let (client, mut events) = AsyncClient::new(options(remote, &client_id, &account, &secret)?, 16);

    let reply_topic = topics::reply(&remote.site, &name);
    let correlation = Uuid::now_v7().as_bytes().to_vec();
    let publish = {
        let (client, reply_topic, correlation) = (client.clone(), reply_topic.clone(), correlation.clone());
        let topic = topics::command(&remote.site, &name, context);
        async move {
            client.subscribe(reply_topic.clone(), QoS::AtLeastOnce).await?;
            let props = PublishProperties {
                response_topic: Some(reply_topic),
                correlation_data: Some(correlation.into()),
                content_type: Some("application/json".into()),
                ..PublishProperties::default()
            };
            client.publish_with_properties(topic, QoS::AtLeastOnce, false, payload, props).await
        }
    };
    tokio::spawn(publish);
    let wait = async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::Publish(p))) => {
                    let same = p.properties.and_then(|x| x.correlation_data).is_some_and(|c| c == correlation);
                    if same {
                        return serde_json::from_slice::<Reply>(&p.payload).context("the reply can't be read");
                    }
                }
                Ok(Event::Incoming(Packet::PubAck(a))) if a.reason as u8 >= 0x80 => {
                    let why = a.properties.and_then(|p| p.reason_string).unwrap_or_else(|| format!("{:?}", a.reason));
                    bail!("the broker refused the command: {why}");
                }
                Ok(Event::Incoming(Packet::SubAck(a)))
                    if a.return_codes.iter().any(|c| !matches!(c, SubscribeReasonCode::Success(_))) =>
                {
                    bail!(
                        "the broker refused the subscription to {reply_topic}: is {} a site of {account}?",
                        remote.site
                    );
                }
                Ok(Event::Incoming(Packet::Disconnect(d))) => {
                    bail!("the broker closed the connection: {:?}", d.reason_code)
                }
                Ok(_) => {}
                Err(ConnectionError::ConnectionRefused(code)) => bail!("{}", refused(code, &account)),
                Err(e) => return Err(anyhow!("{}: {e}", remote.mqtt)),
            }
        }
    };
    let reply = tokio::time::timeout(timeout, wait)
        .await
        .map_err(|_| anyhow!("no reply within {} s; send it again with the same --command-id", timeout.as_secs()))??;
    client.disconnect().await.ok();
    tokio::time::timeout(Duration::from_secs(1), async { while events.poll().await.is_ok() {} }).await.ok();
    Ok(reply)
}

fn refused(code: ConnectReturnCode, account: &str) -> String {
    match code {
        ConnectReturnCode::BadUserNamePassword => format!("the secret of {account} is wrong"),
        ConnectReturnCode::NotAuthorized => format!("{account} may not connect: disabled, or its token has ended"),
        other => format!("the broker refused the connection: {other:?}"),
    }
}

/// GETs one page of the API.
pub struct Api {
    agent: ureq::Agent,
    base: String,
    token: String,
}

impl Api {
    /// Connects to `--url`, with a token or by asking for one.
    pub fn new(remote: &Remote) -> Result<Self> {
        let base = remote.url.clone().context("where is the API? give --url https://HOST:8443")?;
        let mut t = ureq::tls::TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        if let Some(ca) = &remote.ca {
            let pem = std::fs::read(ca).with_context(|| format!("CA file {}", ca.display()))?;
            let cert = ureq::tls::Certificate::from_pem(&pem).context("CA file")?.to_owned();
            t = t.root_certs(ureq::tls::RootCerts::new_with_certs(&[cert]));
        }
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .tls_config(t.build())
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        let base = base.trim_end_matches('/').to_owned();
        let token = match &remote.token {
            Some(t) => t.clone(),
            None => {
                let (account, secret) = credentials(remote)?;
                let form = [("grant_type", "password"), ("username", &account), ("password", &secret)];
                let mut answer =
                    agent.post(format!("{base}/v1/token")).send_form(form).with_context(|| base.clone())?;
                let status = answer.status();
                let body: serde_json::Value =
                    answer.body_mut().read_json().context("the token answer can't be read")?;
                body["access_token"].as_str().map(str::to_owned).ok_or_else(|| {
                    anyhow!("no token ({status}): {}", body["error_description"].as_str().unwrap_or("log-in refused"))
                })?
            }
        };
        Ok(Api { agent, base, token })
    }

    /// One page.
    pub fn get(&self, path: &str) -> Result<serde_json::Value> {
        let mut answer = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .call()
            .with_context(|| self.base.clone())?;
        let status = answer.status();
        let body: serde_json::Value = answer.body_mut().read_json().context("the answer can't be read")?;
        if status.is_success() {
            Ok(body)
        } else {
            bail!("{status}: {}", body["detail"].as_str().or(body["title"].as_str()).unwrap_or("refused"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broker_urls() {
        let u = mqtt_url("mqtts://plant.example").unwrap();
        assert!(u.tls && u.host == "plant.example" && u.port == 8883);
        let u = mqtt_url("mqtt://[::1]:1999/").unwrap();
        assert!(!u.tls && u.host == "::1" && u.port == 1999);
        assert!(mqtt_url("http://x").is_err());
        assert!(mqtt_url("plant:1883").is_err());
    }
}
