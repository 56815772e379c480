//! The kinds of settings that most keys are of: a word, a switch, a number, a path, several paths. What is said of each
//! kind is said once, and the table of keys names only what differs.

macro_rules! word {
    ($name:literal, $meaning:literal, $expected:literal, $kind:ident, $($field:ident).+) => {
        Key {
            name: $name,
            meaning: $meaning,
            expected: $expected,
            is_path: false,
            is_own: false,
            get: |s| Some(s.$($field).+.word().into()),
            set: |s, v| { s.$($field).+ = $kind::of_word(v.as_str()?)?; Some(()) },
        }
    };
}

macro_rules! switch {
    ($name:literal, $meaning:literal, $($field:ident).+) => {
        Key {
            name: $name,
            meaning: $meaning,
            expected: "true or false",
            is_path: false,
            is_own: false,
            get: |s| Some(s.$($field).+.into()),
            set: |s, v| { s.$($field).+ = v.as_bool()?; Some(()) },
        }
    };
}

macro_rules! count {
    ($name:literal, $meaning:literal, $expected:literal, $range:expr, $($field:ident).+) => {
        Key {
            name: $name,
            meaning: $meaning,
            expected: $expected,
            is_path: false,
            is_own: false,
            get: |s| whole(s.$($field).+),
            set: |s, v| { s.$($field).+ = number(v, $range)?; Some(()) },
        }
    };
}

macro_rules! periods {
    ($name:literal, $meaning:literal, $($field:ident).+) => {
        count!($name, $meaning, "a whole number from 0 to 9999", 0..=9999, $($field).+)
    };
}

macro_rules! one_path {
    ($name:literal, $meaning:literal, $expected:literal, $($field:ident).+) => {
        Key {
            name: $name,
            meaning: $meaning,
            expected: $expected,
            is_path: true,
            is_own: false,
            get: |s| path_text(&s.$($field).+),
            set: |s, v| { s.$($field).+ = path(v)?; Some(()) },
        }
    };
}

macro_rules! archive {
    ($name:literal, $meaning:literal, $expected:literal, $kind:ident, $field:ident) => {
        Key {
            name: $name,
            meaning: $meaning,
            expected: $expected,
            is_path: false,
            is_own: false,
            get: |s| Some(s.archive.$field.word().into()),
            set: |s, v| {
                s.archive.$field = $kind::from_word(&v.as_str()?.trim().to_lowercase())?;
                Some(())
            },
        }
    };
}

macro_rules! several_paths {
    ($name:literal, $meaning:literal, $($field:ident).+) => {
        Key {
            name: $name,
            meaning: $meaning,
            expected: "a list of full paths, such as [\"/srv/files\"]",
            is_path: true,
            is_own: false,
            get: |s| path_list(&s.$($field).+),
            set: |s, v| { s.$($field).+ = paths(v)?; Some(()) },
        }
    };
}
