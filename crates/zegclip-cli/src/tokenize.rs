//! `zegclip tokenize`

use std::io::BufRead;

use zegclip_model::clip::Tokenizer;

use crate::arguments::TokenizeArguments;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(options: &TokenizeArguments) -> Result<(), Failure> {
    let context = usize::from(options.context_length);
    let print = |text: &str| output::json(&Tokenizer::clip().encode(text, context).ids);
    if options.texts.is_empty() || options.texts == ["-"] {
        for (number, text) in std::io::stdin().lock().lines().enumerate() {
            let text =
                text.map_err(|error| Failure::failed(format!("cannot read line {} of stdin: {error}", number + 1)))?;
            print(&text)?;
        }
        return Ok(());
    }
    options.texts.iter().try_for_each(|text| print(text))
}
