//! What is served: every file of the folder, by its own name, and nothing that its policy forbids.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use page::{Asset, HEADERS, Served, Trust, assets, assets_of_wallet, find, find_of_wallet};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets");

/// Paths of all files of the folder, as they are asked for.
fn files() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    visit(Path::new(ROOT), "", &mut found);
    found
}

fn visit(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            visit(&entry.path(), &path, found);
        } else {
            found.insert(path);
        }
    }
}

#[test]
fn every_file_of_the_folder_is_served_once_at_its_own_path() {
    let served: Vec<&str> = assets().map(|asset| asset.path).collect();
    let distinct: BTreeSet<String> = served.iter().map(|path| (*path).to_owned()).collect();
    assert_eq!(distinct.len(), served.len());
    let mut expected = files();
    expected.retain(|path| !path.starts_with("/wallet/"));
    // The page has no name of its own, and the contract's artefact lies elsewhere.
    expected.remove("/index.html");
    expected.extend(["/".to_owned(), "/contract.json".to_owned()]);
    assert_eq!(distinct, expected);
    let page = fs::read(format!("{ROOT}/index.html")).expect("the page");
    assert_eq!(find("/").map(|asset| asset.bytes), Some(&page[..]));
    assert_eq!(find("/index.html"), None);
}

#[test]
fn the_patients_page_is_the_wallets_alone_and_takes_in_no_more_than_it_needs() {
    let served: Vec<&str> = assets_of_wallet().map(|asset| asset.path).collect();
    let distinct: BTreeSet<String> = served.iter().map(|path| (*path).to_owned()).collect();
    assert_eq!(distinct.len(), served.len());
    let mut own = files();
    own.retain(|path| path.starts_with("/wallet/"));
    own.remove("/wallet/index.html");
    assert!(distinct.is_superset(&own), "{:?}", own.difference(&distinct));
    let page = find_of_wallet("/").expect("the patient's page");
    let words: String =
        assets_of_wallet().map(|asset| std::str::from_utf8(asset.bytes).expect("text")).collect();
    for shared in distinct.difference(&own).filter(|path| *path != "/") {
        let (_, name) = shared.rsplit_once('/').expect("a slash");
        assert!(words.contains(&format!("/{name}\"")), "{shared} is taken in by nothing");
    }
    assert_ne!(find("/").map(|other| other.bytes), Some(page.bytes));
    assert!(own.iter().all(|path| find(path).is_none()), "another's server hands it out");
    assert_eq!(find_of_wallet("/app.js"), None);
}

#[test]
fn types_are_those_of_the_endings_and_tags_those_of_the_contents() {
    let types = BTreeMap::from([
        ("html", "text/html"),
        ("js", "text/javascript"),
        ("css", "text/css"),
        ("html", "text/html"),
        ("svg", "image/svg+xml"),
        ("txt", "text/plain"),
        ("json", "application/json"),
    ]);
    let mut tags = BTreeSet::new();
    let of_wallet = assets_of_wallet().filter(|asset| asset.path.starts_with("/wallet/"));
    for asset in assets().chain(of_wallet).filter(|asset| asset.path != "/") {
        let ending = asset.path.rsplit_once('.').map_or("txt", |(_, ending)| ending);
        assert!(asset.content_type.starts_with(types[ending]), "{asset:?}");
        let tag = asset.etag();
        assert!(asset.is_current(&tag) && !asset.is_current("\"\""), "{asset:?}");
        assert_eq!(tag.len(), 34);
        // Two licences are the same text.
        assert!(tags.insert(tag) || asset.path.contains("LICENSE"), "{asset:?}");
    }
}

#[test]
fn a_tag_is_current_in_any_list_that_holds_it() {
    let page = find("/").expect("the page");
    let tag = page.etag();
    for list in [tag.clone(), format!("\"a\" , {tag}"), format!("W/{tag},\"b\""), "*".to_owned()] {
        assert!(page.is_current(&list), "{list}");
    }
    for list in ["", "\"a\"", tag.trim_matches('"')] {
        assert!(!page.is_current(list), "{list}");
    }
}

#[test]
fn the_policy_lets_nothing_in_but_files_of_the_server() {
    let policy = HEADERS.iter().find(|(name, _)| *name == "content-security-policy");
    let (_, policy) = policy.expect("a policy");
    // Word by word: a rule that is gone or wider by one source lets in what none of these does.
    let expected = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                    connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; \
                    frame-ancestors 'none'; require-trusted-types-for 'script'; \
                    trusted-types vitals";
    assert_eq!(*policy, expected);
    for page in [find("/"), find("/desk.html"), find_of_wallet("/")] {
        let page = String::from_utf8(page.expect("a page").bytes.to_vec()).expect("text");
        for inline in ["<style", "style=", "onclick", "http://", "https://", "<script>"] {
            assert!(!page.contains(inline), "{inline}");
        }
    }
}

#[test]
fn what_a_page_takes_in_is_served() {
    assets().for_each(|asset| check_imports(asset, find));
    assets_of_wallet().for_each(|asset| check_imports(asset, find_of_wallet));
}

fn check_imports(asset: &Asset, find: fn(&str) -> Option<&'static Asset>) {
    let text = std::str::from_utf8(asset.bytes).expect("text");
    let imports = text.lines().filter_map(|line| line.split_once(" from \"")?.1.split_once('"'));
    for (import, _) in imports.filter(|(import, _)| import.starts_with('.')) {
        let folder = asset.path.rsplit_once('/').expect("a slash").0;
        let path = resolve(folder, import);
        assert!(find(&path).is_some(), "{}: {import}", asset.path);
    }
    // What a page names in its head.
    let sources = text.split(['"', '\'']).filter(|_| asset.path == "/");
    for source in sources.filter(|source| source.starts_with('/')) {
        assert!(find(source).is_some(), "{}: {source}", asset.path);
    }
}

fn resolve(folder: &str, import: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in import.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

#[test]
fn a_server_says_who_it_is_in_words_that_the_page_knows() {
    let session = find("/session.js").expect("the part that reads it").bytes;
    let session = std::str::from_utf8(session).expect("text");
    for (trust, word) in
        [(Trust::Operator, "operator"), (Trust::Verifier, "verifier"), (Trust::Wallet, "wallet")]
    {
        let served = Served { trust, chains: 1, desk: false };
        let json = format!("{{\"schema\":1,\"trust\":\"{word}\",\"chains\":1}}");
        assert_eq!(served.to_json(), json);
        let with_desk = json.replace('}', ",\"desk\":true}");
        assert_eq!(Served { desk: true, ..served }.to_json(), with_desk);
        assert!(session.contains(&format!("\"{word}\"")), "{word}");
    }
}
