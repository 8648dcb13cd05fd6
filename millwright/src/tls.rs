//! TLS: the certificate that was given, or a development CA and certificate under `DIR/tls`.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Writes a file that only the owner can read.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut f = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{}", path.display()))?;
    f.write_all(text.as_bytes()).and_then(|()| f.sync_all()).with_context(|| format!("{}", path.display()))
}

/// Names of this machine, for a certificate that is used on it.
fn here() -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if let Ok(host) = std::fs::read_to_string("/etc/hostname") {
        let host = host.trim();
        if !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') {
            names.push(host.to_owned());
        }
    }
    names
}

/// Makes a CA and, for each of `servers`, `{name}.key` and `{name}.pem` for these host names, and
/// last `ca.pem`: its presence says that the set is whole. The CA's key is not kept: nobody can
/// sign more.
pub fn make(dir: &Path, servers: &[(&str, Vec<String>)]) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("{}", dir.display()))?;
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name.push(DnType::CommonName, "Millwright development CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_cert = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);
    for (name, hosts) in servers {
        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(hosts.clone()).with_context(|| format!("names {}", hosts.join(", ")))?;
        leaf.distinguished_name.push(DnType::CommonName, format!("Millwright {name}"));
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let cert = leaf.signed_by(&key, &issuer)?;
        write_private(&dir.join(format!("{name}.key")), &key.serialize_pem())?;
        let path = dir.join(format!("{name}.pem"));
        std::fs::write(&path, cert.pem()).with_context(|| format!("{}", path.display()))?;
    }
    let path = dir.join("ca.pem");
    std::fs::write(&path, ca_cert.pem()).with_context(|| format!("{}", path.display()))
}

/// The certificates of a stack: one each for the broker and the query API.
pub fn make_for_stack(dir: &Path, hosts: &[String]) -> Result<()> {
    // Not the name of this machine: it may be a container that is gone in a moment.
    let local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let names = |service: &str| [&[service.to_owned()], &local[..], hosts].concat();
    make(dir, &[("broker", names("broker")), ("query-api", names("query-api"))])
}

/// The server's TLS configuration, TLS 1.2 and newer.
pub fn server(
    data: &Path,
    given: Option<&(std::path::PathBuf, std::path::PathBuf)>,
) -> Result<Arc<rustls::ServerConfig>> {
    let (cert, key) = match given {
        Some((c, k)) => (c.clone(), k.clone()),
        None => {
            let dir = data.join("tls");
            if !dir.join("ca.pem").exists() {
                make(&dir, &[("server", here())]).context("making a development certificate")?;
            }
            (dir.join("server.pem"), dir.join("server.key"))
        }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&cert)
        .and_then(Iterator::collect)
        .with_context(|| format!("certificate {}", cert.display()))?;
    let key_der = PrivateKeyDer::from_pem_file(&key).with_context(|| format!("private key {}", key.display()))?;
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .with_context(|| format!("certificate {} and key {}", cert.display(), key.display()))?;
    config.alpn_protocols = Vec::new();
    Ok(Arc::new(config))
}

/// The HTTPS server's configuration: the same certificate, with HTTP's protocols offered.
pub fn https(server: &Arc<rustls::ServerConfig>) -> Arc<rustls::ServerConfig> {
    let mut c = (**server).clone();
    c.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(c)
}

/// A client that trusts the CA of a PEM file.
pub fn client(ca: &Path) -> Result<Arc<rustls::ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(ca).with_context(|| format!("CA file {}", ca.display()))? {
        roots.add(cert.with_context(|| format!("CA file {}", ca.display()))?).context("CA certificate")?;
    }
    Ok(Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_development_certificate_is_made_once_and_trusted_by_its_ca() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        server(dir.path(), None).unwrap();
        let first = std::fs::read(dir.path().join("tls/ca.pem")).unwrap();
        server(dir.path(), None).unwrap();
        assert_eq!(std::fs::read(dir.path().join("tls/ca.pem")).unwrap(), first);
        client(&dir.path().join("tls/ca.pem")).unwrap();
    }
}
