//! The tracker at another site, over HTTP: where copies of the spool go.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use click_engine::forward::{Held, Peer};
use click_engine::log::LogError;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::{OtherSite, Spool};
use crate::http::copies::PATH;

/// Largest answer, bytes.
const MAX_ANSWER: usize = 1 << 20;
/// Time for a message, and the connection before it. Clicks do not wait as long.
const PATIENCE: Duration = Duration::from_secs(5);

type Connection = SendRequest<Full<Bytes>>;

/// A connection that is opened again when it breaks.
pub(super) struct HttpSite {
    runtime: tokio::runtime::Runtime,
    site: OtherSite,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    bearer: String,
    connection: Option<Connection>,
    is_failing: bool,
}

impl HttpSite {
    /// The site of the configuration, if there is one. Nothing is connected yet.
    ///
    /// # Errors
    /// If the file of authorities is none.
    pub(super) fn of(config: &Spool) -> Result<Option<HttpSite>> {
        let Some(site) = config.other_site()? else { return Ok(None) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tls = site.is_https.then(|| tls(&site, Path::new(&config.copy_ca))).transpose()?;
        Ok(Some(HttpSite {
            runtime,
            site,
            tls,
            bearer: format!("Bearer {}", config.copy_token),
            connection: None,
            is_failing: false,
        }))
    }
}

fn tls(site: &OtherSite, authorities: &Path) -> Result<(TlsConnector, ServerName<'static>)> {
    let file = || format!("spool.copy_ca: {}", authorities.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authorities).with_context(file)? {
        // A bundle may hold some that are not understood.
        let _ = roots.add(certificate.with_context(file)?);
    }
    if roots.is_empty() {
        bail!("{} holds no certificate of an authority", file());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((TlsConnector::from(Arc::new(config)), ServerName::try_from(site.host.clone())?))
}

impl Peer for HttpSite {
    fn hand(&mut self, message: &[u8]) -> Result<Held, LogError> {
        let HttpSite { runtime, site, tls, bearer, connection, .. } = self;
        let asking = exchange(connection, site, tls.as_ref(), bearer, message);
        let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await });
        let answer = answer.unwrap_or_else(|_| bail!("no answer within {} s", PATIENCE.as_secs()));
        if answer.is_err() {
            // Its answer may still come.
            self.connection = None;
        }
        let held = answer.and_then(understood);
        if held.is_err() != self.is_failing {
            self.is_failing = held.is_err();
            match &held {
                Ok(_) => tracing::info!("copies of the spool are taken"),
                Err(error) => tracing::warn!("no copy of the spool at {}: {error:#}", site.host),
            }
        }
        held.map_err(|error| LogError::copy(format!("{}: {error:#}", self.site.authority())))
    }
}

async fn exchange(
    connection: &mut Option<Connection>,
    site: &OtherSite,
    tls: Option<&(TlsConnector, ServerName<'static>)>,
    bearer: &str,
    message: &[u8],
) -> Result<(StatusCode, Bytes)> {
    let connection = match connection {
        Some(open) if !open.is_closed() => open,
        _ => connection.insert(connect(site, tls).await?),
    };
    connection.ready().await?;
    let request = Request::post(PATH)
        .header(HOST, site.authority())
        .header(AUTHORIZATION, bearer)
        .header(CONTENT_TYPE, "application/octet-stream")
        .body(Full::new(Bytes::copy_from_slice(message)))?;
    let response = connection.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    Ok((status, body.map_err(|error| anyhow::anyhow!(error))?.to_bytes()))
}

async fn connect(
    site: &OtherSite,
    tls: Option<&(TlsConnector, ServerName<'static>)>,
) -> Result<Connection> {
    let stream = TcpStream::connect((site.host.as_str(), site.port)).await?;
    stream.set_nodelay(true)?;
    match tls {
        None => open(stream).await,
        Some((connector, name)) => open(connector.connect(name.clone(), stream).await?).await,
    }
}

async fn open<S>(stream: S) -> Result<Connection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Ends with the sender; what goes wrong is told to the request.
    drop(tokio::spawn(connection));
    Ok(sender)
}

fn understood((status, body): (StatusCode, Bytes)) -> Result<Held> {
    if status == StatusCode::OK {
        return serde_json::from_slice(&body).context("its answer is not understood");
    }
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let said = answer["error"]["message"].as_str().unwrap_or_default();
    match status {
        StatusCode::NOT_FOUND => bail!("it takes no copies: set spool.copy_token there, too"),
        _ => bail!("it answers {}: {said}", status.as_u16()),
    }
}

#[cfg(test)]
mod tests;
