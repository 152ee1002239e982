//! Services that quote what they were sent, in all the ways in which something fails.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::harness::process::{debian, run};

/// Makes `authority.pem` in `folder`, and a certificate by it for 127.0.0.1; how a server shows that, with HTTP/2.
pub async fn certificate(folder: &Path) -> Arc<ServerConfig> {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    std::fs::write(folder.join("extensions"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    for arguments in [
        &format!("req -x509 {KEY} -keyout authority.key -out authority.pem -subj /CN=authority -days 2"),
        &format!("req {KEY} -keyout server.key -out server.csr -subj /CN=server"),
        "x509 -req -in server.csr -out server.pem -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile extensions",
    ] {
        let mut command = debian("openssl", "openssl");
        command.current_dir(folder).args(arguments.split(' '));
        let said = run(command).await;
        assert_eq!(said.code, Some(0), "openssl {arguments}: {}", said.err);
    }
    let chain = vec![CertificateDer::from_pem_file(folder.join("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// A server that is gone when this is dropped.
pub struct Peer {
    pub address: String,
    requests: Arc<AtomicUsize>,
    http2: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Peer {
    /// HTTP, with TLS if there is a certificate to show.
    pub async fn http(tls: Option<Arc<ServerConfig>>) -> Self {
        Self::start(move |stream, requests, http2| {
            let tls = tls.clone();
            async move {
                match tls {
                    Some(config) => {
                        if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                            serve(stream, requests, http2).await;
                        }
                    }
                    None => serve(stream, requests, http2).await,
                }
            }
        })
        .await
    }

    /// SMTP with TLS from the first byte.
    pub async fn smtp(tls: Arc<ServerConfig>) -> Self {
        // Mail knows no ALPN.
        let mut tls = (*tls).clone();
        tls.alpn_protocols = Vec::new();
        let tls = Arc::new(tls);
        Self::start(move |stream, requests, _| {
            let tls = tls.clone();
            async move {
                if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                    // A client that hangs up is heard enough.
                    let _ = converse(stream, requests.fetch_add(1, Ordering::Relaxed)).await;
                }
            }
        })
        .await
    }

    async fn start<F>(talk: impl Fn(TcpStream, Arc<AtomicUsize>, Arc<AtomicUsize>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (requests, http2) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counters = (requests.clone(), http2.clone());
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(talk(stream, counters.0.clone(), counters.1.clone()));
            }
        });
        Self { address, requests, http2, _server: server }
    }

    /// How many requests, or mails, there were.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// How many of them came with HTTP/2.
    pub fn http2(&self) -> usize {
        self.http2.load(Ordering::Relaxed)
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    requests: Arc<AtomicUsize>,
    http2: Arc<AtomicUsize>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        http2.fetch_add(usize::from(request.version() == hyper::Version::HTTP_2), Ordering::Relaxed);
        let number = requests.fetch_add(1, Ordering::Relaxed);
        async move { Ok::<_, Infallible>(quote(request, number).await) }
    });
    // A connection that breaks is the client's to notice.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// How many requests it takes until each way was gone: every third one succeeds, so that the receiver stays up.
pub const WAYS: usize = 9;

async fn quote(request: Request<Incoming>, number: usize) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let headers = ["authorization", "x-key", "webhook-signature"].iter().filter_map(|name| head.headers.get(*name));
    let headers: Vec<_> = headers.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    let body = body.collect().await.map(|body| body.to_bytes().len()).unwrap_or_default();
    let said = format!("{target} {} {body}", headers.join(" "));
    let begun: Vec<_> = said.split([' ', '/', '=']).map(|word| &word[..word.len().min(14)]).collect();
    let (status, name, value, said) = match number % WAYS {
        0 => (500, "content-type", "text/html".to_owned(), format!("<html>{said}")),
        1 => (429, "retry-after", "0".to_owned(), said),
        3 => (404, "x-said", "no".to_owned(), format!(r#"{{"message":"no {said}","code":10015}}"#)),
        4 => (302, "location", target.clone(), said),
        6 => (401, "www-authenticate", said.replace('"', ""), STANDARD.encode(said)),
        7 => (503, "x-said", "busy".to_owned(), begun.join(" … ")),
        _ => (200, "x-said", "ok".to_owned(), "ok".to_owned()),
    };
    Response::builder().status(status).header(name, value).body(Full::new(said.into())).unwrap()
}

/// A mail server; what it quotes and when depends on the number of the mail.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, number: usize) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut quoted, mut recipients) = (String::new(), String::new(), 0);
    stream.write_all(b"220 ready\r\n").await?;
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let word = line.split_whitespace().next().unwrap_or_default().to_uppercase();
        let answer = match (word.as_str(), number) {
            ("EHLO", _) => "250-here\r\n250 AUTH PLAIN LOGIN".to_owned(),
            ("AUTH", _) => {
                let encoded = line.split_whitespace().nth(2).unwrap_or_default();
                let decoded = String::from_utf8(STANDARD.decode(encoded).unwrap_or_default()).unwrap_or_default();
                quoted = format!("you said {encoded} which is {}", decoded.replace('\0', " "));
                match number {
                    0 => format!("535 5.7.8 {quoted}"),
                    1 => format!("454 4.7.0 {quoted}"),
                    _ => "235 fine".to_owned(),
                }
            }
            ("RCPT", 2) if recipients > 0 => format!("550 5.1.1 no such user; {quoted}"),
            ("DATA", _) => {
                stream.write_all(b"354 go on\r\n").await?;
                while line.trim_end() != "." {
                    line.clear();
                    if stream.read_line(&mut line).await? == 0 {
                        return Ok(());
                    }
                }
                if number == 3 { format!("554 5.6.0 {quoted}") } else { "250 taken".to_owned() }
            }
            ("QUIT", _) => "221 bye".to_owned(),
            _ => "250 fine".to_owned(),
        };
        recipients += usize::from(word == "RCPT");
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}
