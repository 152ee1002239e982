//! The real binary, and real peers: started, watched by their handle, ended.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::http;
use super::wait::{PATIENCE, patiently, until};

/// A process whose standard error is collected, or all that it says. It is killed when this is dropped.
pub struct Process {
    pub child: Child,
    log: watch::Receiver<String>,
    reader: JoinHandle<()>,
}

impl Process {
    /// Starts `command`.
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// Starts one that says on standard output what there is to say; its log is that and standard error.
    pub fn start_talking(command: Command) -> Self {
        Self::start_with(command, Stdio::piped())
    }

    fn start_with(mut command: Command, out: Stdio) -> Self {
        command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).kill_on_drop(true);
        let name = command.as_std().get_program().display().to_string();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (sender, log) = watch::channel(String::new());
        #[expect(clippy::disallowed_methods, reason = "ends with the process; the handle is kept")]
        let reader = tokio::spawn(async move {
            tokio::join!(collect(out, &sender), collect(err, &sender));
        });
        Self { child, log, reader }
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.log.borrow().clone()
    }

    /// Waits until a line of its log contains `text`; the line.
    pub async fn wait_for(&mut self, text: &str) -> String {
        let found = |log: &String| log.lines().find(|line| line.contains(text)).map(str::to_owned);
        let waited = tokio::time::timeout(PATIENCE, self.log.wait_for(|log| found(log).is_some())).await;
        let line = waited.ok().and_then(Result::ok).and_then(|log| found(&log));
        line.unwrap_or_else(|| panic!("it never said {text:?}:\n{}", self.log()))
    }

    /// Ends it as `kill -9` does.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends SIGTERM and waits for its end; its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM").await;
        self.wait().await
    }

    /// Sends a signal by name.
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it has ended");
        // The shell's own kill: a fresh machine has no other.
        let kill = format!("kill -s {name} {id}");
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
    }

    /// Waits for its end, and for the last of its log; its exit code.
    pub async fn wait(&mut self) -> Option<i32> {
        let waited = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = waited.unwrap_or_else(|_| panic!("it does not end:\n{}", self.log())).unwrap();
        if !self.reader.is_finished() {
            patiently("the end of the log", &mut self.reader).await.unwrap();
        }
        assert_no_backtrace(&self.log());
        status.code()
    }
}

async fn collect(stream: Option<impl AsyncRead + Unpin>, log: &watch::Sender<String>) {
    let Some(stream) = stream else { return };
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.send_modify(|log| {
            log.push_str(&line);
            log.push('\n');
        });
    }
}

/// People get a line and a hint, never the program's insides.
fn assert_no_backtrace(text: &str) {
    for word in ["panicked", "stack backtrace", "RUST_BACKTRACE"] {
        assert!(!text.contains(word), "{word} in\n{text}");
    }
}

/// What a command that ends by itself has said.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a command to its end.
pub async fn run(command: Command) -> Said {
    run_within(PATIENCE, command).await
}

/// Runs a command that may take longer than others.
pub async fn run_within(bound: Duration, mut command: Command) -> Said {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(bound, command.output()).await;
    let output = ended.unwrap_or_else(|_| panic!("it does not end within {bound:?}: {command:?}")).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let said = Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    assert_no_backtrace(&said.err);
    said
}

/// `alertrouter serve` on a free port.
pub struct Router {
    pub process: Process,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Router {
    /// Starts it with the routes.yaml and the data in `folder`, and waits until it listens.
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(folder, "127.0.0.1:0", &[]).await
    }

    /// The same, on an address and with further arguments.
    pub async fn start_with(folder: &Path, listen: &str, arguments: &[&str]) -> Self {
        Self::from_command(serve(folder, listen, arguments)).await
    }

    /// The same, from a command line of one's own.
    pub async fn from_command(command: Command) -> Self {
        let mut process = Process::start(command);
        let line = process.wait_for("listening on ").await;
        let address = line.split("listening on ").nth(1).unwrap().split([' ', '"']).next().unwrap().to_owned();
        Self { process, address }
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> String {
        http::get(&self.address, "/metrics").await.1
    }

    /// The sum over all series of a metric.
    pub async fn sum(&self, metric: &str) -> f64 {
        http::sum(&self.metrics().await, metric)
    }

    /// Waits until nothing is left to deliver.
    pub async fn wait_until_delivered(&self) {
        let log = || self.process.log();
        until("an empty outbox", log, async || self.sum("alertrouter_outbox_pending").await == 0.0).await;
    }
}

/// The command line of `serve`.
pub fn serve(folder: &Path, listen: &str, arguments: &[&str]) -> Command {
    let mut command = alertrouter();
    command.args(["serve", "--listen", listen]);
    command.arg("--config").arg(folder.join("routes.yaml")).arg("--data-dir").arg(folder.join("data"));
    command.args(arguments);
    command
}

/// The binary under test, without the environment's settings; its backtraces, which nobody should ever see, are on.
pub fn alertrouter() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alertrouter"));
    command.env("RUST_BACKTRACE", "1").env_remove("COLUMNS");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ALERTROUTER_") || name.starts_with("OTEL_"))
    {
        command.env_remove(name);
    }
    command
}

/// An address that nobody listens on, for programs that cannot be asked which one they took.
pub async fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

/// A Debian program. A missing one fails with the line that installs it.
pub fn debian(program: &str, package: &str) -> Command {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    assert!(found, "{program} is not installed; run: apt-get install --no-install-recommends {package}");
    Command::new(program)
}
