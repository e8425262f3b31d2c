//! The figures: one line of JSON, or a table.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{
    machine::Machine,
    memory::Memory,
    phase::Phase,
    throughput::{Plan, Throughput},
};

/// Everything that was measured.
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// Users registered, and in how many seconds: signatures, prekeys and all.
    pub registered: (usize, f64),
    /// How the throughput was measured.
    pub plan: Plan,
    /// Devices that wrote at the same time.
    pub devices: usize,
    /// Messages per second and latency.
    pub throughput: Throughput,
    /// Memory.
    pub memory: Memory,
    /// What could not be measured as intended.
    pub notes: Vec<String>,
}

impl Report {
    /// One line.
    pub fn json(&self) -> Value {
        let (t, m) = (&self.throughput, &self.memory);
        json!({
            "ratio_to_raw": round(t.ratio(), 3),
            "messages_per_s": round(t.full.rate(), 0),
            "raw_messages_per_s": round(t.raw_full.rate(), 0),
            "turns": t.turns.iter()
                .map(|(relay, raw)| [round(*relay, 0), round(*raw, 0)]).collect::<Vec<_>>(),
            "p50_ms": round(t.full.latency_ms(0.5), 2),
            "p99_ms": round(t.full.latency_ms(0.99), 2),
            "half_load_messages_per_s": round(t.half.rate(), 0),
            "half_load_p50_ms": round(t.half.latency_ms(0.5), 2),
            "half_load_p99_ms": round(t.half.latency_ms(0.99), 2),
            "raw_p50_ms": round(t.raw_full.latency_ms(0.5), 2),
            "raw_p99_ms": round(t.raw_full.latency_ms(0.99), 2),
            "raw_half_load_p50_ms": round(t.raw_half.latency_ms(0.5), 2),
            "raw_half_load_p99_ms": round(t.raw_half.latency_ms(0.99), 2),
            "cpu_s_per_1000": round(per_1000(&t.full), 4),
            "raw_cpu_s_per_1000": round(per_1000(&t.raw_full), 4),
            "refusals": t.full.stats.refusals + t.half.stats.refusals,
            "pulls": t.full.stats.pulls + t.half.stats.pulls,
            "devices": self.devices,
            "in_flight_per_device": self.plan.in_flight,
            "idle_kib_per_connection": round(m.idle_per_connection(), 2),
            "after_load_kib_per_connection": round(m.after_load_per_connection(), 2),
            "connections": m.connections,
            "resident_kib": [m.base_kib, m.idle_kib, m.after_load_kib],
            "connections_per_s": round(m.connections as f64 / m.connect_seconds, 0),
            "registrations_per_s": round(self.registered.0 as f64 / self.registered.1, 0),
            "machine": self.machine,
            "notes": self.notes,
        })
    }

    /// For people.
    pub fn table(&self) -> String {
        let (t, m, machine) = (&self.throughput, &self.memory, &self.machine);
        let mut out = format!(
            "{} cores, {} GiB, data on {} (append and sync 4 KiB: {:.2} ms). The generator shares the cores.\n\
             {} devices write at once, {} messages each on the way; 500 bytes of text, one recipient device.\n\n",
            machine.cores,
            machine.ram_gib,
            machine.file_system,
            machine.fsync_ms,
            self.devices,
            self.plan.in_flight
        );
        row(&mut out, "", ["relay", "bare relay", "goal"]);
        let rates = [t.full.rate(), t.raw_full.rate()].map(|rate| format!("{rate:.0}"));
        row(
            &mut out,
            "messages/s, accepted and delivered",
            [&rates[0], &rates[1], ""],
        );
        let ratio = format!("{:.2}", t.ratio());
        row(
            &mut out,
            "ratio to the bare relay, median of turns",
            [&ratio, "1", "0.5"],
        );
        for (name, at) in [("p50", 0.5), ("p99", 0.99)] {
            let full = [&t.full, &t.raw_full].map(|phase| millis(phase, at));
            row(
                &mut out,
                &format!("{name}, full load"),
                [&full[0], &full[1], ""],
            );
        }
        let load = format!("at {:.0}/s", t.half.rate());
        for (name, at) in [("p50", 0.5), ("p99", 0.99)] {
            let half = [&t.half, &t.raw_half].map(|phase| millis(phase, at));
            row(
                &mut out,
                &format!("{name}, {load}"),
                [&half[0], &half[1], ""],
            );
        }
        let cpu = [&t.full, &t.raw_full].map(|phase| format!("{:.3}", per_1000(phase)));
        row(
            &mut out,
            "CPU seconds per 1 000 messages",
            [&cpu[0], &cpu[1], ""],
        );
        let idle = format!("{:.1} KiB", m.idle_per_connection());
        row(
            &mut out,
            &format!("memory, {} idle connections, each", m.connections),
            [&idle, "", "6 (9)"],
        );
        let after = format!("{:.1} KiB", m.after_load_per_connection());
        row(&mut out, "memory after load, each", [&after, "", "12"]);
        let refused = t.full.stats.refusals + t.half.stats.refusals;
        let pulls = t.full.stats.pulls + t.half.stats.pulls;
        let _ = write!(
            out,
            "\nAll messages arrived once and in order; {refused} were refused for now and sent again, {pulls} pulls.\n\
             {} users registered at {:.0}/s, {:.0} connections/s.\n",
            self.registered.0,
            self.registered.0 as f64 / self.registered.1,
            m.connections as f64 / m.connect_seconds,
        );
        for note in &self.notes {
            let _ = writeln!(out, "Note: {note}");
        }
        out
    }
}

fn row(out: &mut String, name: &str, [relay, raw, goal]: [&str; 3]) {
    let _ = writeln!(out, "{name:<44}{relay:>12}{raw:>12}{goal:>8}");
}

fn millis(phase: &Phase, quantile: f64) -> String {
    format!("{:.2} ms", phase.latency_ms(quantile))
}

fn per_1000(phase: &Phase) -> f64 {
    phase.cpu_seconds / (phase.stats.messages.max(1) as f64 / 1000.0)
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
