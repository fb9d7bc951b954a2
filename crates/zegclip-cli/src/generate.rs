//! `zegclip completions` and `zegclip man`

use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use zegclip_data::write_atomically;

use crate::arguments::{Arguments, CompletionsArguments, ManArguments};
use crate::failure::Failure;
use crate::{hints, output};

pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut visible(&Arguments::command()),
        "zegclip",
        &mut script,
    );
    output::bytes(&script)
}

/// The command without hidden options, which clap_complete offers otherwise.
fn visible(command: &Command) -> Command {
    // clap takes names that live as long as the program, which ends once they are printed.
    let lasting = |text: &str| -> &'static str { text.to_owned().leak() };
    let mut shown = Command::new(lasting(command.get_name()));
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        shown = shown.version(lasting(version));
    }
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.args(arguments.cloned()).subcommands(commands.map(visible))
}

pub(crate) fn man(arguments: &ManArguments) -> Result<(), Failure> {
    let program = Arguments::command();
    let Some(folder) = &arguments.output else {
        return output::bytes(&page(&Man::new(program))?);
    };
    let mut program = program.disable_help_subcommand(true);
    // Gives commands their full names, such as `zegclip-dataset-check`.
    program.build();
    let pages = pages(&program);
    let paths: Vec<_> = pages.iter().map(|page| folder.join(page.get_filename())).collect();
    if let Some(path) = paths.iter().find(|path| !arguments.overwrite && path.exists()) {
        return Err(Failure::usage(format!("`{}` already exists", path.display())).hint(hints::CHOOSE_OUTPUT));
    }
    output::create_folder(folder)?;
    for (man, path) in pages.iter().zip(&paths) {
        write(man, path)?;
    }
    paths.iter().try_for_each(|path| output::line(path.display()))
}

/// The pages of a command and of those below it.
fn pages(command: &clap::Command) -> Vec<Man> {
    let below = command.get_subcommands().filter(|command| !command.is_hide_set());
    std::iter::once(Man::new(command.clone()))
        .chain(below.flat_map(pages))
        .collect()
}

fn write(man: &Man, path: &Path) -> Result<(), Failure> {
    let bytes = page(man)?;
    Ok(write_atomically(path, |file| file.write_all(&bytes))?)
}

fn page(man: &Man) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    man.render(&mut bytes)
        .map_err(|error| Failure::failed(format!("cannot render a manual page: {error}")))?;
    Ok(bytes)
}
