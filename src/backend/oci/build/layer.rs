//! Layers with the same bytes on every machine: tar archives that are sorted, without times, owners and the modes of this
//! machine, packed by zstd or gzip.
//!
//! # Which packing
//!
//! The [image specification](https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md) knows layers as plain tar,
//! gzip and (since 1.1) zstd; a manifest may mix them, so that what we add may be packed otherwise than the base. 301 MB of
//! Python packages (74 of them, with pandas and matplotlib) took, in seconds of a processor: gzip level 6 12.7 s by zlib and
//! 5.5 s by zlib-rs for 94 and 96 MB, level 4 by zlib-rs 4.0 s for 98 MB, zstd level 3 1.6 s for 90 MB. Here gzip is level 4
//! of zlib-rs, in members on all processors: two percent more bytes for a quarter less time.
//!
//! But Docker unpacks zstd only since 23.0 ([moby#41759](https://github.com/moby/moby/pull/41759)), containerd since 1.5: 20.10,
//! which Debian 12 still has, ends with `archive/tar: invalid tar header` (tried). An image that cannot be pulled is worse
//! than one that takes a second longer to make. So: zstd where a layer of the base is packed so, because what runs the base
//! can unpack it; else gzip. Configuration can say otherwise.
//!
//! # Why the bytes are the same
//!
//! Both packers are compiled into this program in one version. What zlib-rs writes depends on the level and the input (its
//! choices by processor, AVX2 and the like, give the same results in less time), so does a single zstd thread, and gzip's
//! members are cut at a fixed length, not by the number of processors. A new version of either may change the bytes, so
//! [`FORMAT`] has to change with it; a test holds the bytes of a small layer.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rayon::prelude::*;
use tempfile::{NamedTempFile, TempPath};

use crate::backend::Content;
use crate::backend::oci::document::{Compression, Descriptor};
use crate::model::{Digest, Hasher};

/// Changes whenever the same input gives other bytes than before.
pub(super) const FORMAT: u32 = 1;

/// Layers of less than this many bytes of content are made in memory.
const SMALL: u64 = 4 << 20;
/// gzip's level.
const LEVEL: u32 = 4;
/// The length of gzip's members before packing.
const MEMBER: usize = 1 << 20;
/// How many members are packed at once, at most.
const MEMBERS: usize = 8;

/// A file of a layer.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Where it is in the image, `/`-separated, without a leading slash.
    pub(super) path: String,
    /// Whether it is `0755` instead of `0644`.
    pub(super) executable: bool,
    /// What is in it.
    pub(super) content: Content,
    /// What its content must be, where that is known before.
    pub(super) digest: Option<Digest>,
}

/// A layer, ready to be stored.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// As a manifest names it.
    pub(super) descriptor: Descriptor,
    /// The digest of the archive before packing, as a configuration names it.
    pub(super) diff_id: Digest,
    /// The packed archive; `None` where only its name is known, because it was made earlier.
    pub(super) content: Option<Content>,
    /// Keeps the file of `content`.
    pub(super) _file: Option<Arc<TempPath>>,
}

/// Makes a layer of files, in any order; temporary files go into `folder`.
///
/// Folders are made as needed, `0755`. Memory stays below some 20 MB whatever the size. A path that leaves the image, or
/// that is there twice, is an error; so is a file whose content is not what it should be.
pub(super) fn write(
    mut entries: Vec<Entry>,
    compression: Compression,
    folder: &Path,
) -> io::Result<Layer> {
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let sum: u64 = entries.iter().map(|entry| length(&entry.content)).sum();
    if sum < SMALL {
        let (packed, diff_id) = pack(&entries, compression, Sum::new(Vec::new()))?;
        let (bytes, digest, length) = packed.finish();
        return Ok(Layer {
            descriptor: Descriptor::new(&compression.media_type(), digest, length),
            diff_id,
            content: Some(Content::Bytes(bytes.into())),
            _file: None,
        });
    }
    let file = NamedTempFile::new_in(folder)?;
    let (file, path) = file.into_parts();
    let (packed, diff_id) = pack(&entries, compression, Sum::new(BufWriter::new(file)))?;
    let (mut file, digest, length) = packed.finish();
    file.flush()?;
    Ok(Layer {
        descriptor: Descriptor::new(&compression.media_type(), digest, length),
        diff_id,
        content: Some(Content::File {
            path: path.to_path_buf(),
            length,
        }),
        _file: Some(Arc::new(path)),
    })
}

fn length(content: &Content) -> u64 {
    match content {
        Content::Bytes(bytes) => bytes.len() as u64,
        Content::File { length, .. } => *length,
    }
}

fn pack<W: Write>(
    entries: &[Entry],
    compression: Compression,
    sink: Sum<W>,
) -> io::Result<(Sum<W>, Digest)> {
    match compression {
        Compression::Gzip => {
            let archive = archive(entries, Sum::new(Members::new(sink)))?;
            let (members, diff_id, _) = archive.finish();
            Ok((members.finish()?, diff_id))
        }
        Compression::Zstd => {
            let encoder = zstd::stream::write::Encoder::new(sink, 3)?;
            let archive = archive(entries, Sum::new(encoder))?;
            let (encoder, diff_id, _) = archive.finish();
            Ok((encoder.finish()?, diff_id))
        }
    }
}

/// Writes the archive of sorted entries.
fn archive<W: Write>(entries: &[Entry], sink: W) -> io::Result<W> {
    let mut builder = tar::Builder::new(sink);
    let mut folders = BTreeSet::new();
    let mut files = BTreeSet::new();
    let twice = |path: &str| io::Error::other(format!("{path} is there twice"));
    for entry in entries {
        let path = entry.path.as_str();
        check(path)?;
        if !files.insert(path) {
            return Err(twice(path));
        }
        for (at, _) in path.match_indices('/') {
            let folder = &path[..at];
            if folders.insert(folder) {
                // Sorted as they are, a file of that name has come before.
                if files.contains(folder) {
                    return Err(twice(folder));
                }
                let mut header = header(tar::EntryType::Directory, 0o755, 0);
                builder.append_data(&mut header, format!("{folder}/"), io::empty())?;
            }
        }
        append(&mut builder, entry)?;
    }
    builder.into_inner()
}

fn append<W: Write>(builder: &mut tar::Builder<W>, entry: &Entry) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", entry.path));
    let mode = if entry.executable { 0o755 } else { 0o644 };
    let length = length(&entry.content);
    let mut header = header(tar::EntryType::Regular, mode, length);
    let digest = match &entry.content {
        Content::Bytes(bytes) => {
            builder.append_data(&mut header, &entry.path, &bytes[..])?;
            entry.digest.map(|_| Digest::of(bytes))
        }
        Content::File { path, .. } => {
            let file = File::open(path).map_err(named)?;
            let mut source = Source {
                file: file.take(length),
                hasher: entry.digest.map(|_| Hasher::default()),
                read: 0,
            };
            builder
                .append_data(&mut header, &entry.path, &mut source)
                .map_err(named)?;
            let more = source.file.into_inner().read(&mut [0])?;
            if source.read != length || more > 0 {
                return Err(io::Error::other(format!(
                    "{}: its length is not {length} bytes any more; it changed meanwhile",
                    entry.path
                )));
            }
            source.hasher.map(Hasher::finish)
        }
    };
    if digest == entry.digest {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{}: its content is not what was read before; it changed meanwhile",
        entry.path
    )))
}

/// What differs between machines is left at zero.
fn header(kind: tar::EntryType, mode: u32, length: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(length);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Refuses a path that would be elsewhere once unpacked.
fn check(path: &str) -> io::Result<()> {
    let fine = !path.contains('\0')
        && path
            .split('/')
            .all(|part| !matches!(part, "" | "." | "..") && !part.starts_with(".wh."));
    if fine {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{path:?} cannot be a path in an image: a part of it is empty, `.`, `..` or starts with `.wh.`"
    )))
}

/// A file that is being put into the archive.
struct Source {
    file: io::Take<File>,
    hasher: Option<Hasher>,
    read: u64,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read += count as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// Digests and counts what passes.
struct Sum<W> {
    inner: W,
    hasher: Hasher,
    length: u64,
}

impl<W> Sum<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: Hasher::default(),
            length: 0,
        }
    }

    fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.length)
    }
}

impl<W: Write> Write for Sum<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// gzip in members of a fixed length, several at once. [RFC 1952](https://www.rfc-editor.org/rfc/rfc1952#section-2.2) has
/// readers take members one after the other as one file.
struct Members<W> {
    inner: W,
    waiting: Vec<u8>,
}

impl<W: Write> Members<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            waiting: Vec::with_capacity(MEMBER),
        }
    }

    fn pack(&mut self) -> io::Result<()> {
        let packed: Vec<io::Result<Vec<u8>>> = self
            .waiting
            .par_chunks(MEMBER)
            .map(|member| {
                // Without a name and a time in its header.
                let sink = Vec::with_capacity(member.len() / 2);
                let mut encoder =
                    flate2::write::GzEncoder::new(sink, flate2::Compression::new(LEVEL));
                encoder.write_all(member)?;
                encoder.finish()
            })
            .collect();
        self.waiting.clear();
        for member in packed {
            self.inner.write_all(&member?)?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        self.pack()?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for Members<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(MEMBER * MEMBERS - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..count]);
        if self.waiting.len() == MEMBER * MEMBERS {
            self.pack()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        // What waits goes when a group is full: members have a fixed length.
        Ok(())
    }
}

/// Undoes the packing of a layer of a base.
pub(super) fn unpack<'a>(
    packed: impl Read + 'a,
    compression: Option<Compression>,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        None => Box::new(packed),
        Some(Compression::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(packed)),
        Some(Compression::Zstd) => Box::new(zstd::stream::read::Decoder::new(packed)?),
    })
}

/// Content that is in memory.
pub(super) fn bytes(text: impl Into<Bytes>) -> Content {
    Content::Bytes(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Compression; 2] = [Compression::Gzip, Compression::Zstd];

    fn entry(path: &str, text: &str) -> Entry {
        Entry {
            path: path.to_owned(),
            executable: path.starts_with("bin/"),
            content: bytes(text.to_owned()),
            digest: Some(Digest::of(text.as_bytes())),
        }
    }

    fn packed(layer: &Layer) -> Vec<u8> {
        match layer.content.as_ref().expect("it was made just now") {
            Content::Bytes(bytes) => bytes.to_vec(),
            Content::File { path, .. } => std::fs::read(path).expect("the file is kept"),
        }
    }

    /// Path, mode and length of each member.
    fn members(layer: &Layer, compression: Compression) -> Vec<(String, u32, u64)> {
        let packed = packed(layer);
        assert_eq!(Digest::of(&packed), layer.descriptor.digest.0);
        assert_eq!(packed.len() as u64, layer.descriptor.size);
        let mut plain = Vec::new();
        unpack(&packed[..], Some(compression))
            .and_then(|mut reader| reader.read_to_end(&mut plain))
            .expect("it unpacks");
        assert_eq!(Digest::of(&plain), layer.diff_id);
        tar::Archive::new(&plain[..])
            .entries()
            .expect("an archive")
            .map(|entry| {
                let entry = entry.expect("a member");
                let header = entry.header();
                let zero = |value: io::Result<u64>| assert_eq!(value.expect("a number"), 0);
                zero(header.mtime());
                zero(header.uid());
                zero(header.gid());
                let path = entry.path().expect("a path").display().to_string();
                (path, header.mode().expect("a mode"), entry.size())
            })
            .collect()
    }

    #[test]
    fn order_and_times_make_no_difference() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        let long = format!("opt/{}/ü", "x".repeat(150));
        for compression in BOTH {
            let entries = vec![
                entry("bin/run", "#!"),
                entry("a-b", "1"),
                entry(&long, "22"),
            ];
            let first = write(entries.clone(), compression, folder.path()).expect("a layer");
            let mut other: Vec<Entry> = entries.into_iter().rev().collect();
            std::fs::write(&file, "22").expect("written");
            other[0].content = Content::File {
                path: file.clone(),
                length: 2,
            };
            let second = write(other, compression, folder.path()).expect("a layer");
            assert_eq!(first.descriptor, second.descriptor);
            assert_eq!(
                members(&first, compression),
                [
                    ("a-b".to_owned(), 0o644, 1),
                    ("bin/".to_owned(), 0o755, 0),
                    ("bin/run".to_owned(), 0o755, 2),
                    ("opt/".to_owned(), 0o755, 0),
                    (format!("{}/", &long[..154]), 0o755, 0),
                    (long.clone(), 0o644, 2),
                ]
            );
        }
    }

    /// Where this fails after an update of a crate, [`FORMAT`] has to change with it, so that images get new names.
    #[test]
    fn the_bytes_are_those_of_this_format() {
        let text: String = (0..20_000).map(|number| format!("{number} ")).collect();
        let digest = |compression| {
            let entries = vec![entry("numbers", &text)];
            let layer = write(entries, compression, Path::new("."));
            layer.expect("a layer").descriptor.digest.0.short()
        };
        assert_eq!(FORMAT, 1);
        assert_eq!(BOTH.map(digest), ["cc257600ab2d", "c483cfb933a3"]);
    }

    #[test]
    fn a_layer_of_many_members_is_one_archive() {
        let folder = tempfile::tempdir().expect("a folder");
        let text: String = (0..2_000_000).map(|number| format!("{number}\n")).collect();
        for compression in BOTH {
            let layer = write(vec![entry("numbers", &text)], compression, folder.path());
            let layer = layer.expect("a layer");
            let path = match &layer.content {
                Some(Content::File { path, .. }) => path.clone(),
                other => panic!("not in memory: {other:?}"),
            };
            let seen = members(&layer, compression);
            assert_eq!(seen, [("numbers".to_owned(), 0o644, text.len() as u64)]);
            drop(layer);
            assert!(!path.exists(), "the file goes with the layer");
        }
    }

    #[test]
    fn what_cannot_be_a_layer_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let fault = |entries: Vec<Entry>| {
            write(entries, Compression::Zstd, folder.path())
                .expect_err("no layer")
                .to_string()
        };
        for path in [
            "../x",
            "a/../../x",
            "/etc/x",
            "a//b",
            "a/",
            "",
            ".",
            "a/./b",
            "a\0b",
            ".wh.x",
            "a/.wh..wh..opq",
        ] {
            assert!(
                fault(vec![entry(path, "")]).contains("cannot be a path"),
                "{path}"
            );
        }
        assert!(fault(vec![entry("a", ""), entry("a", "")]).contains("a is there twice"));
        let both = vec![entry("a", ""), entry("a-b", ""), entry("a/b", "")];
        assert!(fault(both).contains("a is there twice"));

        let file = folder.path().join("file");
        std::fs::write(&file, "12345").expect("written");
        let on_disk = |length| Entry {
            content: Content::File {
                path: file.clone(),
                length,
            },
            ..entry("x", "12345")
        };
        for length in [4, 6] {
            let fault = fault(vec![on_disk(length)]);
            assert!(fault.contains("its length is not"), "{fault}");
        }
        std::fs::write(&file, "54321").expect("written");
        assert!(fault(vec![on_disk(5)]).contains("changed meanwhile"));
        std::fs::remove_file(&file).expect("removed");
        assert!(fault(vec![on_disk(5)]).starts_with("x: "));
    }
}
