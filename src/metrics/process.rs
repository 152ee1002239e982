//! The process metrics that every Prometheus client library has, read from `/proc/self`; on other systems there are
//! none. And which build the process is.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::version;

/// Registers `build_info`, as exporters in Go have it, with rustc in place of Go.
pub(super) fn register_build(registry: &mut Registry) {
    let build = [
        ("version", version::VERSION),
        ("revision", version::REVISION),
        ("rustversion", version::RUSTC),
        ("target_os", std::env::consts::OS),
        ("target_arch", std::env::consts::ARCH),
    ];
    registry.register("build", "The version, commit and compiler of what runs", Info::new(build));
}

/// Reads them when they are asked for.
#[derive(Debug)]
pub(super) struct ProcessCollector;

/// Kernel ticks in a second as `/proc` counts them: `USER_HZ`, 100 on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

struct Process {
    cpu_seconds: f64,
    start_seconds: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
    open_fds: f64,
}

impl Process {
    fn read() -> Option<Self> {
        let read = |name: &str| std::fs::read_to_string(name).ok();
        let stat = read("/proc/self/stat")?;
        // The second field is the command in parentheses, and may hold anything: fields count from behind it.
        let fields: Vec<f64> =
            stat.rsplit_once(") ")?.1.split(' ').map(|field| field.trim().parse().unwrap_or(0.0)).collect();
        let status = read("/proc/self/status")?;
        let boot = number_after(&read("/proc/stat")?, "btime")?;
        Some(Self {
            cpu_seconds: (fields.get(11)? + fields.get(12)?) / TICKS,
            start_seconds: boot + fields.get(19)? / TICKS,
            virtual_bytes: number_after(&status, "VmSize:")? * 1024.0,
            resident_bytes: number_after(&status, "VmRSS:")? * 1024.0,
            open_fds: f64::from(u32::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()?),
        })
    }
}

/// The number in the line that starts with `name`.
fn number_after(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(process) = Process::read() else { return Ok(()) };
        let cpu = ConstCounter::new(process.cpu_seconds);
        let help = "User and system CPU time";
        cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?)?;
        for (name, help, value) in [
            ("process_start_time_seconds", "When the process started", process.start_seconds),
            ("process_virtual_memory_bytes", "Virtual memory", process.virtual_bytes),
            ("process_resident_memory_bytes", "Resident memory", process.resident_bytes),
            ("process_open_fds", "Open file descriptors", process.open_fds),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_been_running_and_uses_memory() {
        let process = Process::read().expect("/proc is there");
        assert!(process.resident_bytes > 1e6 && process.virtual_bytes > process.resident_bytes);
        assert!(process.open_fds >= 3.0 && process.start_seconds > 1.7e9);
    }
}
