//! Mail is spoken here, once: one connection for each mail, TLS as routes.yaml says and never less.

mod lines;

use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;

use super::transport::{TransportError, chain};
use crate::receiver::Answer;
use crate::receiver::email::{AUTH, GREETING, MESSAGE, RECIPIENT, SENDER, Submission, Tls};
use lines::Lines;

/// The server goes away: no other recipient will be taken either (RFC 5321, section 3.8).
const CLOSING: u16 = 421;
/// When the mail is delivered, saying goodbye may take this long.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why the conversation ended early.
enum End {
    /// The server has said no.
    Said(Answer),
    /// There was no answer.
    Failed(TransportError),
}

/// Sends `message`. `timeout` holds for each half: until the server wants the message, and until it has it.
///
/// Whoever is accepted gets it. Recipients that are refused while others are accepted are logged, and that is all: to send
/// it again would send it twice to the others.
///
/// # Errors
/// If there is no answer within `timeout`.
pub(super) async fn send(to: &Submission, message: &[u8], timeout: Duration) -> Result<Answer, TransportError> {
    let late = |_| End::Failed(TransportError::Timeout(timeout));
    let conversation = async {
        let (mut server, refused) = tokio::time::timeout(timeout, announce(to)).await.map_err(late)??;
        // It is ended with a line break of its own.
        let message = message.strip_suffix(b"\r\n").unwrap_or(message);
        let taken = tokio::time::timeout(timeout, server.message(message)).await.map_err(late)?;
        let taken = taken.map_err(|error| end(MESSAGE, &error))?;
        for (recipient, answer) in refused {
            let said = to.discreet(&String::from_utf8_lossy(&answer.body));
            tracing::warn!(
                recipient,
                status = answer.status,
                said,
                "a recipient was refused; the others have the mail"
            );
        }
        let _ = tokio::time::timeout(GOODBYE, server.quit()).await;
        let said = taken.message().collect::<Vec<_>>().join(" ");
        Ok(Answer { step: MESSAGE, status: taken.code().into(), retry_after: None, body: said.into() })
    };
    match conversation.await {
        Ok(answer) | Err(End::Said(answer)) => Ok(answer),
        Err(End::Failed(error)) => Err(error),
    }
}

/// Everything until the server wants the message, and whom it does not want it for.
async fn announce(to: &Submission) -> Result<(AsyncSmtpConnection, Vec<(String, Answer)>), End> {
    let mut server = connect(to).await?;
    let sender = Mail::new(Some(to.from.email.clone()), Vec::new());
    server.command(sender).await.map_err(|error| end(SENDER, &error))?;
    let (mut refused, mut accepted) = (Vec::new(), 0);
    for mailbox in &to.to {
        match server.command(Rcpt::new(mailbox.email.clone(), Vec::new())).await {
            Ok(_) => accepted += 1,
            Err(error) => match end(RECIPIENT, &error) {
                End::Said(answer) if answer.status != CLOSING => refused.push((mailbox.email.to_string(), answer)),
                end => return Err(end),
            },
        }
    }
    if accepted == 0 {
        // What may pass for one of them is tried again for all.
        refused.sort_by_key(|(_, answer)| answer.status);
        return Err(match refused.into_iter().next() {
            Some((_, answer)) => End::Said(answer),
            None => End::Failed(TransportError::Invalid("there is no recipient")),
        });
    }
    server.command(Data).await.map_err(|error| end(MESSAGE, &error))?;
    Ok((server, refused))
}

/// Connects, secures the connection, says who is asking.
async fn connect(to: &Submission) -> Result<AsyncSmtpConnection, End> {
    let tls = match to.tls {
        Tls::None => None,
        Tls::StartTls | Tls::Implicit => Some(to.tls_parameters().map_err(network)?),
    };
    let hello = ClientId::Domain(to.hello.clone());
    let address = (to.host.as_str(), to.port);
    let at_once = tls.clone().filter(|_| to.tls == Tls::Implicit);
    let connected = if to.tls == Tls::StartTls {
        let stream = TcpStream::connect(address).await.map_err(|error| network(chain(&error)))?;
        AsyncSmtpConnection::connect_with_transport(Box::new(Lines(stream)), &hello).await
    } else {
        AsyncSmtpConnection::connect_tokio1(address, None, &hello, at_once, None).await
    };
    let mut server = connected.map_err(|error| end(GREETING, &error))?;
    if let Some(tls) = tls.filter(|_| to.tls == Tls::StartTls) {
        if !server.can_starttls() {
            return Err(network("the server does not offer STARTTLS, and without it nothing is sent".to_owned()));
        }
        server.starttls(tls, &hello).await.map_err(|error| end(GREETING, &error))?;
    }
    if let Some(auth) = &to.auth {
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        if server.server_info().get_auth_mechanism(&mechanisms).is_none() {
            return Err(network(
                "the server takes no password: it offers neither AUTH PLAIN nor AUTH LOGIN".to_owned(),
            ));
        }
        let credentials = Credentials::new(auth.username.clone(), auth.password.expose_secret().to_owned());
        server.auth(&mechanisms, &credentials).await.map_err(|error| end(AUTH, &error))?;
    }
    Ok(server)
}

fn network(what: String) -> End {
    End::Failed(TransportError::Network(what))
}

/// What an error is: the server's word, or that there was none.
fn end(step: &'static str, error: &Error) -> End {
    let Some(code) = error.status() else { return network(chain(error)) };
    let said = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    End::Said(Answer { step, status: code.into(), retry_after: None, body: said.into() })
}
