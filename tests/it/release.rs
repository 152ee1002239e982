//! What makes a release the same bytes in each build (`.ci/release`), as far as that can be seen without one.

use std::process::Command;

use crate::harness::Folder;
use crate::routes_file::root;

/// What `.ci/rustc` makes of a generated parser; `None` if it refuses.
fn sorted(generated: &str) -> Option<String> {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.join("parser")).unwrap();
    let file = folder.0.join("parser/promql.y.rs");
    std::fs::write(&file, generated).unwrap();
    let mut wrapper = Command::new(root(".ci/rustc"));
    wrapper.arg("true").env("CARGO_CRATE_NAME", "promql_parser").env("OUT_DIR", &folder.0);
    wrapper.status().unwrap().success().then(|| std::fs::read_to_string(file).unwrap())
}

#[test]
fn the_table_that_is_generated_in_random_order_is_sorted() {
    let table = |[a, b, c]: [u8; 3]| {
        format!(
            "1u8, 5u8, {a}u8, 49u8,\n    92u8, {b}u8, 49u8, 92u8, {c}u8, 49u8, 92u8, 66u8, 52u8, 229u8, 67u8, 51u8, 231u8,"
        )
    };
    let expected = table([65, 66, 67]);
    for order in [[65, 66, 67], [65, 67, 66], [66, 65, 67], [66, 67, 65], [67, 65, 66], [67, 66, 65]] {
        assert_eq!(sorted(&table(order)).as_ref(), Some(&expected), "{order:?}");
    }
    assert_eq!(sorted("0u8, 5u8, 65u8, 49u8, 92u8,"), None, "another grammar is looked at by a person");
}
