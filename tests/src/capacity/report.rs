//! The figures: one line of JSON, or tables.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::{
    cell::{Cell, Step},
    rest::Stored,
};
use crate::load::{machine::Machine, phase::Phase};

/// What the product was asked to carry: users, of them online, messages a day.
const ASKED_USERS: u64 = 14_300;
const ASKED_ONLINE: usize = 10_000;
const ASKED_PER_DAY: f64 = 715_000.0;
/// What p99 at half load may be, in milliseconds.
const SLOWEST_P99: f64 = 100.0;
const SECONDS_A_DAY: f64 = 86_400.0;

/// Everything that was measured.
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// The measurement that the others are compared with, first.
    pub cells: Vec<Cell>,
    /// Users that were registered, and in how many seconds.
    pub registered: (usize, f64),
    /// Records a second that Kafka's producer tool wrote alone.
    pub kafka_per_s: f64,
    /// Messages a second whose rows and registers Cassandra took alone.
    pub cassandra_per_s: f64,
    /// Bytes on disk for the messages of the first cell, and for the users.
    pub stored: Stored,
    /// What could not be measured as intended.
    pub notes: Vec<String>,
    /// Measurements that came to nothing.
    pub failed: Vec<String>,
}

impl Report {
    /// What is not as it has to be.
    pub fn failures(&self) -> Vec<String> {
        let Some(main) = self.cells.first() else {
            return vec!["nothing was measured".to_owned()];
        };
        let mut failures = self.failed.clone();
        let connections = main.plan.connections;
        if connections < ASKED_ONLINE {
            failures.push(format!(
                "{connections} connections, {ASKED_ONLINE} are asked for"
            ));
        }
        let p99 = main.half.latency_ms(0.99);
        if p99 > SLOWEST_P99 {
            failures.push(format!(
                "p99 at half load is {p99:.0} ms, over {SLOWEST_P99:.0} ms"
            ));
        }
        failures
    }

    fn bytes_per_message(&self) -> (f64, f64) {
        let sent = self.cells.first().map_or(1, Cell::sent).max(1) as f64;
        let stored = &self.stored;
        (stored.cassandra as f64 / sent, stored.kafka as f64 / sent)
    }

    fn bytes_per_user(&self) -> f64 {
        self.stored.postgres as f64 / self.registered.0.max(1) as f64
    }

    /// What was measured, as a multiple of what is asked for on average.
    fn multiple(&self) -> f64 {
        let rate = self.cells.first().map_or(0.0, |cell| cell.full.rate());
        rate * SECONDS_A_DAY / ASKED_PER_DAY
    }

    /// One line.
    pub fn json(&self) -> Value {
        let main = self.cells.first().map_or(0.0, |cell| cell.full.rate());
        let (cassandra, kafka) = self.bytes_per_message();
        json!({
            "cells": self.cells.iter().map(cell).collect::<Vec<_>>(),
            "kafka_alone_records_per_s": round(self.kafka_per_s, 0),
            "cassandra_alone_messages_per_s": round(self.cassandra_per_s, 0),
            "ratio_to_cassandra_alone": round(main / self.cassandra_per_s, 3),
            "cassandra_bytes_per_message": round(cassandra, 0),
            "kafka_bytes_per_message": round(kafka, 0),
            "postgres_bytes_per_user": round(self.bytes_per_user(), 0),
            "cassandra_gb_per_year_and_replica": round(year(cassandra), 1),
            "multiple_of_asked_messages": round(self.multiple(), 0),
            "registrations_per_s": round(self.registered.0 as f64 / self.registered.1, 0),
            "failures": self.failures(),
            "machine": self.machine,
            "notes": self.notes,
        })
    }

    /// For people.
    pub fn table(&self) -> String {
        let machine = &self.machine;
        let mut out = format!(
            "{} cores, {} GiB, data on {} (append and sync 4 KiB: {:.2} ms). All servers and the clients share the cores;\n\
             one Kafka broker, one Cassandra node. 500 bytes of text, one recipient device, WSS through HAProxy.\n\n",
            machine.cores, machine.ram_gib, machine.file_system, machine.fsync_ms,
        );
        self.latencies(&mut out);
        if let Some(main) = self.cells.first() {
            processes(&mut out, main);
        }
        self.comparisons(&mut out);
        for note in &self.notes {
            let _ = writeln!(out, "Note: {note}");
        }
        for failure in self.failures() {
            let _ = writeln!(out, "FAILED: {failure}");
        }
        out
    }

    fn latencies(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "                    |            full load             |            half load             |\n\
             nodes   connections |  msg/s      p50      p99    p99.9 |  msg/s      p50      p99    p99.9 | CPU-s/1000  conn/s"
        );
        for cell in &self.cells {
            let _ = writeln!(
                out,
                "{:>5} {:>13} |{}|{}| {:>10.2} {:>7.0}",
                cell.plan.nodes,
                cell.plan.connections,
                latency(&cell.full),
                latency(&cell.half),
                cell.cpu_per_1000(),
                cell.plan.connections as f64 / cell.connect_seconds,
            );
        }
        let waited: u64 = self.cells.iter().map(Cell::refusals).sum();
        let sent: u64 = self.cells.iter().map(Cell::sent).sum();
        let _ = writeln!(
            out,
            "Times in ms, from sending to arrival. Every connection writes now and then; full load is the highest rate of those tried\n\
             at which what is sent arrives in the same span. {sent} messages, each arrived once and in order; {waited} were told to\n\
             wait and were sent again. CPU: of the servers, at full load. Connecting: login, TLS and WebSocket.\n"
        );
    }

    fn comparisons(&self, out: &mut String) {
        let main = self.cells.first().map_or(0.0, |cell| cell.full.rate());
        let (cassandra, kafka) = self.bytes_per_message();
        let _ = writeln!(
            out,
            "Alone on this machine: Kafka {:.0} records/s (its producer tool, all replicas), Cassandra {:.0} messages/s (row,\n\
             state, two registers; one message a batch, no marks). The whole cluster carries {:.2} of what Cassandra takes alone.\n\n\
             At rest, once: Cassandra {cassandra:.0} bytes a message, Kafka {kafka:.0} (kept for 7 days), PostgreSQL {:.0} a user\n\
             (without one-time prekeys).\n\
             {ASKED_PER_DAY:.0} messages a day make {:.0} GB a year and replica in Cassandra, {:.1} GB a replica in Kafka;\n\
             {ASKED_USERS} users make {:.0} MB.\n\
             {:.0} times the {:.1} messages/s asked for on average. {} users registered at {:.0}/s.",
            self.kafka_per_s,
            self.cassandra_per_s,
            main / self.cassandra_per_s,
            self.bytes_per_user(),
            year(cassandra),
            ASKED_PER_DAY * 7.0 * kafka / 1e9,
            ASKED_USERS as f64 * self.bytes_per_user() / 1e6,
            self.multiple(),
            ASKED_PER_DAY / SECONDS_A_DAY,
            self.registered.0,
            self.registered.0 as f64 / self.registered.1,
        );
    }
}

fn year(bytes: f64) -> f64 {
    ASKED_PER_DAY * 365.0 * bytes / 1e9
}

fn latency(phase: &Phase) -> String {
    format!(
        "{:>7.0} {:>8.1} {:>8.1} {:>8.1} ",
        phase.rate(),
        phase.latency_ms(0.5),
        phase.latency_ms(0.99),
        phase.latency_ms(0.999)
    )
}

fn processes(out: &mut String, cell: &Cell) {
    let _ = writeln!(
        out,
        "{} nodes, {} connections, by process:  CPU-s/1000   MiB",
        cell.plan.nodes, cell.plan.connections
    );
    for (name, seconds) in &cell.cpu {
        let memory = cell.memory.iter().find(|(of, _)| of == name);
        let memory = memory.map_or_else(String::new, |(_, bytes)| (bytes >> 20).to_string());
        let cpu = seconds / cell.thousands();
        let _ = writeln!(out, "{name:<40} {cpu:>9.3} {memory:>6}");
    }
    let _ = writeln!(out);
}

fn cell(cell: &Cell) -> Value {
    let per_1000 = |(name, seconds): &(String, f64)| {
        (name.clone(), round(seconds / cell.thousands(), 4).into())
    };
    let mib = |(name, bytes): &(String, u64)| (name.clone(), (bytes >> 20).into());
    json!({
        "nodes": cell.plan.nodes,
        "connections": cell.plan.connections,
        "tried": cell.steps.iter().map(step).collect::<Vec<_>>(),
        "full": phase(&cell.full),
        "half": phase(&cell.half),
        "cpu_s_per_1000": round(cell.cpu_per_1000(), 3),
        "cpu_s_per_1000_by_process": cell.cpu.iter().map(per_1000).collect::<Map<_, _>>(),
        "resident_mib_by_process": cell.memory.iter().map(mib).collect::<Map<_, _>>(),
        "connections_per_s": round(cell.plan.connections as f64 / cell.connect_seconds, 0),
    })
}

fn step(step: &Step) -> Value {
    json!({
        "offered_per_s": round(step.offered, 0),
        "held": step.held,
        "came": phase(&step.phase),
    })
}

fn phase(phase: &Phase) -> Value {
    json!({
        "messages_per_s": round(phase.rate(), 0),
        "p50_ms": round(phase.latency_ms(0.5), 2),
        "p99_ms": round(phase.latency_ms(0.99), 2),
        "p999_ms": round(phase.latency_ms(0.999), 2),
        "sent": phase.stats.sent,
        "refusals": phase.stats.refusals,
        "pulls": phase.stats.pulls,
    })
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
