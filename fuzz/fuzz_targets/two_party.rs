//! With the MACs of vodozemac: `cargo +nightly fuzz run --no-cfg-fuzzing two_party`. Without that option they are skipped, and
//! less can be asserted.
#![no_main]

#[path = "../../core-crypto/tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    support::two_party::run(data, !cfg!(fuzzing));
});
