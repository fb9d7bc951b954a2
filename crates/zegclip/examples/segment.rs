//! `cargo run --release --example segment -- MODEL IMAGE "cat, grass"`: the shortest program.

use zegclip::{Segmenter, Vocabulary, open_image};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, image, names] = arguments.as_slice() else {
        return Err("usage: segment MODEL IMAGE \"class, class\"".into());
    };
    let segmenter = Segmenter::load(model, "auto")?;
    let classes = Vocabulary::from_names(names)?;
    let result = segmenter.segment(&open_image(image)?, &classes)?;
    for (name, fraction) in classes.names().zip(result.class_fractions()) {
        #[allow(clippy::print_stdout, reason = "an example is a program")]
        {
            println!("{name}: {:.1} %", 100.0 * fraction);
        }
    }
    Ok(())
}
