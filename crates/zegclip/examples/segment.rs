//! `cargo run --release --example segment -- MODEL PHOTO "cat, grass"`: the library in ten lines.

use zegclip::{DeviceName, Segmenter, Vocabulary, open_image};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, photo, names] = arguments.as_slice() else {
        return Err("usage: segment MODEL PHOTO \"class, class\"".into());
    };
    let segmenter = Segmenter::load(model, DeviceName::Auto)?;
    let classes = Vocabulary::from_names(names)?;
    let result = segmenter.segment(&open_image(photo)?, &classes)?;
    for (name, share) in classes.names().zip(result.shares()) {
        #[allow(clippy::print_stdout, reason = "an example is a program")]
        {
            println!("{name}: {:.1} %", 100.0 * share);
        }
    }
    Ok(())
}
