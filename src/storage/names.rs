//! Names that are made of other names, and must not become longer than a file system takes.

/// What a name is shortened to that other names are made of: 255 bytes are taken, and the longest end that is added
/// needs 40.
pub const STEM_BYTES_MAX: usize = 215;

/// `name` with at most `most` bytes: where it is longer, its beginning and a mark that tells it from others that begin
/// alike.
pub fn short(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_owned();
    }
    let mark = blake3::hash(name.as_bytes()).to_hex();
    let mark = &mark[..12];
    let mut end = most.saturating_sub(mark.len() + 1);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{mark}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_shortened_and_stay_apart() {
        assert_eq!(short("a.sqlite", 8), "a.sqlite");
        let (first, second) = ("ä".repeat(120), "ä".repeat(121));
        let (one, other) = (short(&first, 100), short(&second, 100));
        assert!(one.len() <= 100 && one.starts_with("ää") && one != other, "{one} {other}");
        assert_eq!(short(&one, 100), one, "a short one is not shortened again");
    }
}
