//! What speaks S3, as far as an archive asks: a server of its own on loopback, so that signing,
//! conditional names and parts go over HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use archive::{Access, ArchiveError, Archiver, Expected, ObjectName, Objects, Place, Put, verify};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{BEGINNING, GENESIS, archiver, batches, journal};

/// Buckets and uploads by path, and each request's first line.
#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, Vec<u8>>,
    asked: Vec<String>,
    /// Requests without a signature of the key that the test gave.
    unsigned: u64,
    /// Takes a name again that is taken, whatever the request says.
    heedless: bool,
    /// Refuses everything, in its own words.
    refuses: bool,
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: BTreeMap<_, _> = lines.filter_map(header).collect();
    let length = headers.get("content-length").map_or(Ok(0), |length| length.parse()).ok()?;
    let mut body = bytes.split_off(end);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let (path, query) = (path.to_owned(), query.to_owned());
    Some(Request { method, path, query, headers, body })
}

/// Status, further headers and body of the answer.
fn answer(bucket: &mut Bucket, request: Request) -> (u16, String, Vec<u8>) {
    let Request { method, path, query, headers, body } = request;
    let is_signed = headers.get("authorization").is_some_and(|signed| signed.contains("AKIATEST"));
    bucket.unsigned += u64::from(!is_signed);
    bucket.asked.push(format!("{method} {path}?{query}"));
    if bucket.refuses {
        return (403, String::new(), b"<Error><Code>AccessDenied</Code></Error>".into());
    }
    let tag = |bytes: &[u8]| format!("etag: \"{}\"\r\n", blake3::hash(bytes).to_hex());
    match (method.as_str(), query.contains("uploads"), query.contains("uploadId")) {
        ("POST", true, _) => {
            bucket.uploads.insert(path, Vec::new());
            let xml = "<InitiateMultipartUploadResult><UploadId>one</UploadId>\
                       </InitiateMultipartUploadResult>";
            (200, String::new(), xml.into())
        }
        ("PUT", _, true) => {
            let tag = tag(&body);
            bucket.uploads.entry(path).or_default().extend(body);
            (200, tag, Vec::new())
        }
        ("POST", _, true) => {
            let whole = bucket.uploads.remove(&path).unwrap_or_default();
            bucket.objects.insert(path, whole);
            let xml = "<CompleteMultipartUploadResult><ETag>\"one\"</ETag>\
                       </CompleteMultipartUploadResult>";
            (200, String::new(), xml.into())
        }
        ("PUT", ..) => {
            let is_new = headers.get("if-none-match").is_some_and(|tag| tag == "*");
            if is_new && !bucket.heedless && bucket.objects.contains_key(&path) {
                return (
                    412,
                    String::new(),
                    b"<Error><Code>PreconditionFailed</Code></Error>".into(),
                );
            }
            let tag = tag(&body);
            bucket.objects.insert(path, body);
            (200, tag, Vec::new())
        }
        _ => read_object(bucket, &path, headers.get("range")),
    }
}

fn read_object(bucket: &Bucket, path: &str, range: Option<&String>) -> (u16, String, Vec<u8>) {
    let Some(whole) = bucket.objects.get(path) else {
        return (404, String::new(), b"<Error><Code>NoSuchKey</Code></Error>".into());
    };
    let modified = "last-modified: Sun, 29 Nov 2026 12:00:00 GMT\r\netag: \"one\"\r\n";
    let part = range.and_then(|range| {
        let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
        Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()?))
    });
    match part {
        None => (200, modified.to_owned(), whole.clone()),
        Some((from, to)) => {
            let to = to.min(whole.len() - 1);
            let of = format!("content-range: bytes {from}-{to}/{}\r\n", whole.len());
            (206, format!("{modified}{of}"), whole[from..=to].to_vec())
        }
    }
}

/// Serves a bucket until the test ends; gives its address.
async fn serve(bucket: Arc<Mutex<Bucket>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(request) = read(&mut stream).await else { continue };
            let is_head = request.method == "HEAD";
            let (status, headers, body) =
                answer(&mut bucket.lock().expect("nobody panicked"), request);
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
                body.len()
            );
            let body = if is_head { Vec::new() } else { body };
            drop(stream.write_all(&[head.into_bytes(), body].concat()).await);
        }
    });
    format!("http://{address}")
}

async fn bucket(folder: &tempfile::TempDir) -> (Arc<Mutex<Bucket>>, Objects) {
    let login = folder.path().join("login");
    files::create(&login, b"AKIATEST:geheim", files::Audience::Owner).expect("written");
    let bucket = Arc::new(Mutex::new(Bucket::default()));
    let endpoint = Some(serve(bucket.clone()).await);
    let access = Access { endpoint, region: "us-east-1".into(), login: Some(login) };
    let place: Place = "s3://vitals/ward/1".parse().expect("a place");
    (bucket, place.open(&access).expect("opens"))
}

#[tokio::test]
async fn a_bucket_takes_files_in_parts_and_each_manifest_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bucket, objects) = bucket(&folder).await;
    let (_, log) = journal();
    let mut one = archiver(&objects, &log).await;
    let mut other = archiver(&objects, &log).await;
    one.push(batches(1..3)).await.expect("archived");
    let error = other.push(batches(1..2)).await.expect_err("somebody else wrote it");
    assert!(matches!(error, ArchiveError::OtherWriter { number: 1 }), "{error}");
    let verified =
        verify(&objects, GENESIS.journal_hash, &Expected::default(), |_| ()).await.expect("read");
    assert_eq!((verified.files, verified.batches, verified.wrong), (log.head().file - 1, 2, 0));
    look_into(&bucket, verified.files);
    assert_eq!(
        verify(&objects, GENESIS.journal_hash, &Expected::default(), |_| ())
            .await
            .expect("read")
            .wrong,
        1
    );
}

/// Holds what is in the bucket against what was archived, and changes a byte of a file.
fn look_into(bucket: &Mutex<Bucket>, files: u64) {
    let mut held = bucket.lock().expect("nobody panicked");
    let named = |start: &str| held.objects.keys().filter(|path| path.starts_with(start)).count();
    assert_eq!(named("/vitals/ward/1/journal/") as u64, files);
    assert_eq!(named("/vitals/ward/1/manifests/00000001"), 1);
    assert_eq!((held.objects.len(), held.unsigned), (files as usize + 4, 0), "with the probe");
    assert!(held.asked.iter().any(|line| line.contains("partNumber=1")), "in parts");
    // A byte in the bucket.
    let path = held.objects.keys().find(|path| path.contains("journal/")).cloned();
    held.objects.get_mut(&path.expect("a file")).expect("there")[700] ^= 1;
}

#[tokio::test]
async fn an_answer_of_the_bucket_never_names_what_opens_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bucket, objects) = bucket(&folder).await;
    let name = ObjectName::Manifest(1);
    assert_eq!(objects.put_new(name, vec![1; 9]).await.expect("put"), Put::New);
    assert_eq!(objects.put_new(name, vec![2; 9]).await.expect("refused"), Put::Taken);
    bucket.lock().expect("nobody panicked").refuses = true;
    let error = objects.small(name, 9).await.expect_err("refused");
    let said = format!("{error} {error:?} {objects:?}");
    assert!(said.contains("manifests/00000001") && said.contains("AccessDenied"), "{said}");
    for secret in ["geheim", "AKIATEST", "Signature"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test]
async fn a_store_that_gives_a_name_twice_is_no_archive() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bucket, objects) = bucket(&folder).await;
    bucket.lock().expect("nobody panicked").heedless = true;
    let (_, log) = journal();
    let error = Archiver::open(objects.clone(), log.reader(), BEGINNING).await.map(drop);
    let error = error.expect_err("two nodes would not find out");
    assert!(matches!(error, ArchiveError::Unconditional) && error.is_lasting(), "{error}");
    bucket.lock().expect("nobody panicked").heedless = false;
    drop(archiver(&objects, &log).await);
}
