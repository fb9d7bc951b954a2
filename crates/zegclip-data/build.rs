//! Writes the table of the named pictures in `assets/pictures`, so that a picture is added by adding its file.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../assets/pictures");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut table = String::from("&[\n");
    for style in sorted(&folder)?.iter().filter(|name| folder.join(name).is_dir()) {
        for file in sorted(&folder.join(style))? {
            let path = folder.join(style).join(&file);
            writeln!(
                table,
                "    ({:?}, include_bytes!({path:?})),",
                format!("{style}/{file}")
            )?;
        }
    }
    table.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("pictures.rs"), table)?;
    Ok(())
}

fn sorted(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>, std::io::Error>>()?;
    names.sort();
    Ok(names)
}
