//! Writes the table of the pictures in `assets/pictures`, so that a picture is added by adding its file.
//!
//! The table is empty without the feature `pictures`.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("assets/pictures");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut pictures = Vec::new();
    if env::var_os("CARGO_FEATURE_PICTURES").is_some() {
        for style in fs::read_dir(&folder)? {
            let style = style?;
            if style.file_type()?.is_dir() {
                for file in fs::read_dir(style.path())? {
                    let file = file?;
                    let (style, name) = (style.file_name(), file.file_name());
                    pictures.push((format!("{}/{}", style.display(), name.display()), file.path()));
                }
            }
        }
    }
    // The library searches the table by name.
    pictures.sort();
    let mut table = String::from("&[\n");
    for (name, path) in pictures {
        writeln!(table, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    table.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("pictures.rs"), table)?;
    Ok(())
}
