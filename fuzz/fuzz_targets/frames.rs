#![no_main]
//! What comes through the socket, from either side: understood or refused, in memory that follows what arrived.

use libfuzzer_sys::fuzz_target;
use strongroom::service::protocol::{self, FROM_CLIENT_MAX, FROM_ENGINE_MAX, FromClient, FromEngine, HELLO_BYTES_MAX, Hello};

fuzz_target!(|bytes: &[u8]| {
    let _ = protocol::read::<Hello>(&mut &bytes[..], HELLO_BYTES_MAX);
    let mut left = bytes;
    while let Ok(message) = protocol::read::<FromClient>(&mut left, FROM_CLIENT_MAX) {
        // What was understood can be said again.
        let mut said = Vec::new();
        protocol::write(&mut said, &message).expect("written");
        let again = protocol::read::<FromClient>(&mut said.as_slice(), FROM_CLIENT_MAX).expect("read");
        assert_eq!(again, message);
    }
    let mut left = bytes;
    while protocol::read::<FromEngine>(&mut left, FROM_ENGINE_MAX).is_ok() {}
});
