#![no_main]
//! The text of a settings file: understood or refused in words, and what was understood is checked and shown.

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use strongroom::settings;

fuzz_target!(|text: &str| {
    let data_file = Path::new("/srv/nowhere/a.sqlite");
    match settings::parse(text, data_file) {
        Ok(settings) => {
            let _ = settings.check(data_file);
            let _ = settings.revision();
            // What is in force is sent and stored.
            let sent = serde_json::to_vec(&settings).expect("settings have a JSON form");
            let back: settings::Settings = serde_json::from_slice(&sent).expect("and come back from it");
            assert_eq!(back.revision(), settings.revision());
        }
        Err(error) => assert!(!error.message().is_empty() && !error.message().contains('\n')),
    }
});
