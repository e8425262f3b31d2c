#![no_main]

#[allow(dead_code, reason = "each target calls one of them")]
#[path = "../../protocol/tests/support/decoders.rs"]
mod decoders;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    decoders::device_list(data);
});
