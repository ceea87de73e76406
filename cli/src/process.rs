//! Metrics of the process, by the names that every dashboard of processes knows. Read when they are asked for.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::time::{ClockId, clock_gettime};

/// The process, since it began.
#[derive(Debug)]
pub(crate) struct Process {
    started_s: f64,
}

impl Process {
    /// This process, which has just started.
    #[expect(clippy::cast_precision_loss, reason = "seconds to the millisecond for the next millennia")]
    pub(crate) fn begin() -> Self {
        Self { started_s: jiff::Timestamp::now().as_millisecond() as f64 / 1e3 }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut put = |name: &str, help: &str, unit: Option<&Unit>, metric: &dyn EncodeMetric| {
            metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
        };
        let help = "User and system time that the process has used";
        put("process_cpu", help, Some(&Unit::Seconds), &ConstCounter::new(cpu_seconds()))?;
        let help = "Memory of the process that is in RAM";
        put("process_resident_memory", help, Some(&Unit::Bytes), &ConstGauge::new(resident_bytes().unwrap_or(0)))?;
        put("process_open_fds", "Open file descriptors of the process", None, &ConstGauge::new(open_fds()))?;
        let help = "Unix time at which the process started";
        put("process_start_time", help, Some(&Unit::Seconds), &ConstGauge::new(self.started_s))
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds to the nanosecond for the next centuries")]
pub(crate) fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// `VmRSS` of the process, where the system tells it (Linux).
fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

fn open_fds() -> i64 {
    // The folder itself is one of them while it is read.
    let open = fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count().saturating_sub(1));
    i64::try_from(open).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_has_used_time_memory_and_files() {
        assert!(cpu_seconds() > 0.0);
        assert!(resident_bytes().unwrap() > 1_000_000);
        let before = open_fds();
        let _file = fs::File::open("/proc/self/status").unwrap();
        // Other tests of this process open and close files, too.
        assert!(before > 0 && open_fds() > 0);
    }
}
