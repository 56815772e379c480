//! Signed archives: genuine, undamaged, signed by another key, and forged by somebody who makes all checksums anew.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use strongroom::archive::{Archive, Compression, Rate, format};
use support::{Place, has, logical_content, make_data_file, text};

/// A data file with signed archives.
pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) data: PathBuf,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let place = Place::new();
        let data = place.at("a.sqlite");
        drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 50));
        let scene = Self { place, data };
        assert!(scene.run(&["settings", scene.data.to_str().unwrap(), "archive.sign=true"]).0);
        scene
    }

    /// Whether it succeeded, and all that it said.
    pub(crate) fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.place.run(arguments);
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }

    fn backup(&self, more: &[&str]) -> String {
        let (made, said) = self.run(&[&["backup", self.data.to_str().unwrap()], more].concat());
        assert!(made, "{said}");
        said
    }

    fn archive(&self, name: &str) -> PathBuf {
        self.place.at("Backups").join(name)
    }

    fn verify(&self, archive: &Path, more: &[&str]) -> (bool, String) {
        self.run(&[&["verify", archive.to_str().unwrap()], more].concat())
    }

    /// The public half of the key, in a file.
    pub(crate) fn public(&self) -> PathBuf {
        let path = self.place.at("public.pem");
        let output = self.place.run(&["key"]);
        assert!(output.status.success());
        fs::write(&path, output.stdout).unwrap();
        path
    }
}

fn ends(archive: &Path) -> (Vec<u8>, usize) {
    let bytes = fs::read(archive).unwrap();
    let signature = bytes.len() - 112 - 152;
    assert_eq!(bytes[signature + 8..signature + 16], *b"SR4BSIGN");
    (bytes, signature)
}

#[test]
fn what_this_user_signed_is_genuine_and_what_others_did_is_said() {
    let scene = Scene::new();
    assert!(scene.backup(&[]).contains(", which was made for it. Keep a copy of its public half"));
    let (archive, public) = (scene.archive("a[0001].4BK"), scene.public());
    let public = public.to_str().unwrap();
    let (sound, said) = scene.verify(&archive, &[]);
    assert!(sound && said.contains("Genuine: signed by key "), "{said}");
    assert!(scene.verify(&archive, &["--signed-by", public]).0);
    // On another machine, whose user has another key.
    let other = Place::new();
    let copy = other.at("a[0001].4BK");
    fs::copy(&archive, &copy).unwrap();
    let copy = copy.to_str().unwrap();
    assert!(text(&other.run(&["verify", copy]).stdout).contains("Signed by another key: "));
    assert!(other.run(&["verify", copy, "--signed-by", public]).status.success());
    let own = other.at("own.pem");
    fs::write(&own, other.run(&["key"]).stdout).unwrap();
    let refused = other.run(&["verify", copy, "--signed-by", own.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("was signed by another key than"), "{}", text(&refused.stderr));
    // One of before, or of somebody who does not sign.
    assert!(scene.run(&["settings", scene.data.to_str().unwrap(), "archive.sign=false"]).0);
    scene.backup(&[]);
    let unsigned = scene.archive("a[0002].4BK");
    let (sound, said) = scene.verify(&unsigned, &[]);
    assert!(sound && said.contains("Not signed"), "{said}");
    let (sound, said) = scene.verify(&unsigned, &["--signed-by", public]);
    assert!(!sound && said.contains("is not signed"), "{said}");
    // The whole key is nothing to hand out.
    let secret = scene.place.own().join("strongroom/signing-key.pem");
    let (_, said) = scene.verify(&archive, &["--signed-by", secret.to_str().unwrap()]);
    assert!(said.contains("is a whole key, not its public half"), "{said}");
}

/// All checksums are right: that of the head, of the index, of the whole and of the end.
#[test]
fn a_forged_archive_with_the_signature_of_a_genuine_one_is_refused_by_everything() {
    let scene = Scene::new();
    scene.backup(&[]);
    assert!(!scene.backup(&[]).contains("which was made for it"));
    let (genuine, other) = (scene.archive("a[0001].4BK"), scene.archive("a[0002].4BK"));
    let (bytes, at) = ends(&genuine);
    let (mut forged, to) = ends(&other);
    // As somebody does it who may write the folder: another archive, undamaged, under this name and with its signature.
    forged[to..to + 152].copy_from_slice(&bytes[at..at + 152]);
    let path = scene.place.at("forged[0001].4BK");
    fs::write(&path, &forged).unwrap();
    let name = path.to_str().unwrap();
    let to = scene.place.at("restored");
    for command in [vec!["verify", name], vec!["restore", name, "--to", to.to_str().unwrap()], vec!["repair", name]] {
        let (done, said) = scene.run(&command);
        assert!(!done && said.contains("is not genuine"), "{command:?}: {said}");
    }
    assert!(!to.join("a.sqlite").exists());
    // Without the signature it is undamaged, and still says that it was to be signed.
    let (tail, length) = (forged.len() - 112, forged.len() as u64);
    let mut found = format::decode_tail(&forged[tail..], length).unwrap();
    found.length -= 152;
    let mut bare = forged[..tail - 152].to_vec();
    bare.extend(format::encode_tail(&found));
    fs::write(&path, bare).unwrap();
    let (sound, said) = scene.verify(&path, &[]);
    assert!(!sound && said.contains("was to be signed, and its signature is missing or damaged"), "{said}");
}

/// A bit of the signature or of the end is no reason to call an archive unsigned, nor to lose the signature at a
/// repair.
#[test]
fn a_signature_that_is_damaged_or_loses_its_place_is_not_passed_over() {
    let scene = Scene::new();
    scene.backup(&["--redundancy", "medium"]);
    let archive = scene.archive("a[0001].4BK");
    let (bytes, at) = ends(&archive);
    for place in [at, at + 8, at + 40, at + 80, at + 150] {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        fs::write(&archive, &changed).unwrap();
        let (sound, said) = scene.verify(&archive, &[]);
        assert!(!sound && said.contains("its signature is missing or damaged"), "byte {place}: {said}");
    }
    // The end is cut: all else is proven again from its own description, the signature included.
    let repaired = scene.archive("a[0001] repaired.4BK");
    for lost in [1, 50, 112] {
        fs::write(&archive, &bytes[..bytes.len() - lost]).unwrap();
        let (done, said) = scene.run(&["repair", archive.to_str().unwrap()]);
        assert!(done, "{lost}: {said}");
        let (sound, said) = scene.verify(&repaired, &[]);
        assert!(sound && said.contains("Genuine"), "{lost}: {said}");
        fs::remove_file(&repaired).unwrap();
    }
    // Asked for a certain key, it is not said to be undamaged where it is not.
    let mut changed = bytes;
    changed[at - 4000] ^= 1;
    changed[at + 40] ^= 1;
    fs::write(&archive, &changed).unwrap();
    let (sound, said) = scene.verify(&archive, &["--signed-by", scene.public().to_str().unwrap()]);
    assert!(!sound && said.contains("It is damaged, too") && !said.contains("undamaged"), "{said}");
}

/// As after the program's own folder was lost: nobody who has the public half of the old key knows the new one.
#[test]
fn a_key_that_takes_the_place_of_another_one_is_said_once() {
    let scene = Scene::new();
    scene.backup(&[]);
    fs::remove_file(scene.place.own().join("strongroom/signing-key.pem")).unwrap();
    let (clean, said) = scene.run(&["backup", scene.data.to_str().unwrap()]);
    assert!(!clean && said.contains("backup 0001 before it by another one"), "{said}");
    assert!(scene.verify(&scene.archive("a[0002].4BK"), &[]).1.contains("Genuine"));
    let (_, status) = scene.run(&["status", scene.data.to_str().unwrap()]);
    assert!(status.contains("backup 0001 before it by another one"), "{status}");
    scene.backup(&[]);
}

/// What is said for one backup goes beside what the settings say.
#[test]
fn a_wish_for_one_backup_leaves_the_others_of_the_settings() {
    let scene = Scene::new();
    let data = scene.data.to_str().unwrap();
    assert!(scene.run(&["settings", data, "archive.redundancy=medium", "archive.interlacing=low"]).0);
    scene.backup(&["--compression", "none"]);
    let archive = scene.archive("a[0001].4BK");
    assert!(scene.verify(&archive, &[]).1.contains("Genuine"));
    let options = Archive::open(&archive).unwrap().identity().options();
    assert_eq!(
        (options.redundancy, options.interlacing, options.compression),
        (Rate::Medium, Rate::Low, Compression::None)
    );
}

#[test]
fn a_signature_stays_with_segments_recovery_data_and_repaired_copies() {
    let scene = Scene::new();
    drop(make_data_file(&scene.place.at("large.sqlite"), "", 6_000));
    fs::rename(scene.place.at("large.sqlite"), &scene.data).unwrap();
    let stored = ["--sign", "--redundancy", "medium", "--compression", "none"];
    scene.backup(&[&stored[..], &["--segment-mb", "1"]].concat());
    let first = scene.archive("a[0001-0001].4BK");
    assert!(Archive::open(&first).unwrap().files().count() > 2);
    assert!(scene.verify(&first, &[]).1.contains("Genuine"));
    scene.backup(&stored);
    let archive = scene.archive("a[0002].4BK");
    let mut bytes = fs::read(&archive).unwrap();
    bytes[300_000..310_000].fill(0);
    fs::write(&archive, &bytes).unwrap();
    let (_, said) = scene.verify(&archive, &[]);
    assert!(said.contains("can be repaired") && said.contains("Genuine"), "{said}");
    let (repaired, said) = scene.run(&["repair", archive.to_str().unwrap()]);
    assert!(repaired, "{said}");
    let (sound, said) = scene.verify(&scene.archive("a[0002] repaired.4BK"), &[]);
    assert!(sound && said.contains("Genuine"), "{said}");
}

/// The description of the format is enough: another program says the same.
#[test]
fn another_program_says_the_same_of_a_signature() {
    if !has("openssl") {
        return;
    }
    let scene = Scene::new();
    scene.backup(&[]);
    let (bytes, at) = ends(&scene.archive("a[0001].4BK"));
    let whole = &bytes[bytes.len() - 104 + 40..][..32];
    let (message, signature) = (scene.place.at("message"), scene.place.at("signature"));
    let check = |message_bytes: &[u8]| {
        fs::write(&message, message_bytes).unwrap();
        fs::write(&signature, &bytes[at + 8 + 48..][..64]).unwrap();
        let mut command = Command::new("openssl");
        command.args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"]).arg(scene.public());
        command.arg("-in").arg(&message).arg("-sigfile").arg(&signature).output().unwrap().status.success()
    };
    assert!(check(&[b"strongroom archive 1", whole].concat()));
    assert!(!check(&[b"strongroom archive 2", whole].concat()));
}

/// Whoever may write the folder can make an archive with all checksums right, and a number above all others.
#[test]
fn what_others_put_among_signed_archives_takes_the_place_of_none_of_them() {
    let scene = Scene::new();
    let data = scene.data.to_str().unwrap();
    let content = || logical_content(&scene.data);
    assert!(scene.run(&["settings", data, "keep.last=2"]).0);
    scene.backup(&[]);
    support::engine::foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('signed')");
    scene.backup(&[]);
    let (own, signed) = (fs::read(&scene.data).unwrap(), content());
    let settings = fs::read(scene.place.at("a.strongroom.toml")).unwrap();
    assert!(scene.run(&["settings", data, "archive.sign=false", "keep.last=9"]).0);
    support::engine::foreign_commits(&scene.data, "DELETE FROM t; INSERT INTO t(a) VALUES('forged')");
    let forged = content();
    scene.backup(&[]);
    scene.backup(&[]);
    fs::write(scene.place.at("a.strongroom.toml"), &settings).unwrap();
    for companion in ["a.sqlite-wal", "a.sqlite-shm"] {
        let _ = fs::remove_file(scene.place.at(companion));
    }
    fs::write(&scene.data, own).unwrap();
    assert!(content() == signed && signed != forged);

    let (_, said) = scene.run(&["status", data]);
    assert!(said.contains("archive 0004 is not signed by this user's key") && said.contains("and 1 more"), "{said}");
    let restored = |name: &str| {
        let to = scene.place.at(name);
        let (clean, said) = scene.run(&["restore", data, "--to", to.to_str().unwrap()]);
        assert!(!clean && said.contains("is not signed: archives of this data file are signed"), "{said}");
        logical_content(&to.join("a.sqlite"))
    };
    assert!(restored("of the signed") == signed);
    fs::remove_file(scene.archive("a[0002].4BK")).unwrap();
    assert!(restored("of one before") != forged);
    // It counts, and it pushes out nothing that is signed.
    let fourth = fs::read(scene.archive("a[0004].4BK")).unwrap();
    let there = |numbers: [u32; 6]| numbers.map(|n| scene.archive(&format!("a[{n:04}].4BK")).exists());
    scene.backup(&[]);
    assert_eq!(there([1, 2, 3, 4, 5, 6]), [true, false, false, true, true, false]);
    scene.backup(&[]);
    assert_eq!(there([1, 2, 3, 4, 5, 6]), [false, false, false, false, true, true]);
    let (_, said) = scene.run(&["status", data]);
    assert!(!said.contains("not signed"), "{said}");
    // Nothing else is left: better than nothing, and it is said.
    for number in [5, 6] {
        fs::remove_file(scene.archive(&format!("a[{number:04}].4BK"))).unwrap();
    }
    fs::write(scene.archive("a[0004].4BK"), fourth).unwrap();
    assert!(restored("of what is left") == forged);
    let named = scene.place.at("by its own name");
    let (clean, said) =
        scene.run(&["restore", scene.archive("a[0004].4BK").to_str().unwrap(), "--to", named.to_str().unwrap()]);
    assert!(clean && logical_content(&named.join("a.sqlite")) == forged, "{said}");
}

/// The state is kept, and it is said that it is not signed.
#[cfg(unix)]
#[test]
fn a_key_that_others_could_read_signs_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    scene.public();
    let key = scene.place.own().join("strongroom/signing-key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (clean, said) = scene.run(&["backup", scene.data.to_str().unwrap()]);
    assert!(!clean && said.contains("the archive is sound, but not signed: "), "{said}");
    assert!(said.contains("is readable by others"), "{said}");
    let (sound, said) = scene.verify(&scene.archive("a[0001].4BK"), &[]);
    assert!(!sound && said.contains("was to be signed"), "{said}");
}
