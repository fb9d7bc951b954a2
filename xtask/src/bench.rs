//! One table: this project and its peers on the same machine in the same run, alternating.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{cargo, root};

/// Where the table stands in `BENCHMARKS.md`.
const START: &str = "<!-- bench: start -->";
const END: &str = "<!-- bench: end -->";

/// What is measured: a title, our program's arguments, the peers' arguments.
struct Work {
    title: &'static str,
    preset: &'static str,
    ours: &'static [&'static str],
    peers: &'static [&'static [&'static str]],
    gflop_key: bool,
}

const WORKS: [Work; 3] = [
    Work {
        title: "512×512 crop, VOC (10 prompts, 20 classes)",
        preset: "voc",
        ours: &["crop", "WEIGHTS", "voc20", "RUNS"],
        peers: &[
            &["infer", "--config", "voc", "--engine", "eager"],
            &["infer", "--config", "voc", "--engine", "onnxruntime"],
            &["infer", "--config", "voc", "--engine", "openvino"],
        ],
        gflop_key: true,
    },
    Work {
        title: "512×512 crop, COCO-Stuff (100 prompts, 171 classes)",
        preset: "coco",
        ours: &["crop", "WEIGHTS", "coco171", "RUNS"],
        peers: &[
            &["infer", "--config", "coco", "--engine", "eager"],
            &["infer", "--config", "coco", "--engine", "onnxruntime"],
            &["infer", "--config", "coco", "--engine", "openvino"],
        ],
        gflop_key: true,
    },
    Work {
        // Peers slide over 1024×768; we first bring the short side to 512 as the paper's test does, so the same number of
        // windows needs the photo whose resized form is that large.
        title: "1024×768 photo, COCO-Stuff",
        preset: "coco",
        ours: &["photo", "WEIGHTS", "coco171", "1024x768", "RUNS"],
        peers: &[&["slide", "--config", "coco", "--engine", "eager", "--size", "683x512"]],
        gflop_key: false,
    },
];

struct Row {
    engine: String,
    median: f64,
    spread: f64,
    gflops: Option<f64>,
    memory: Option<f64>,
}

pub(crate) fn run(options: &[&str]) -> Result<(), String> {
    let option = |name: &str| {
        options
            .windows(2)
            .find(|pair| pair[0] == name)
            .map(|pair| pair[1].to_owned())
    };
    let peers = option("--peers").map_or_else(|| root().join("../shared/peers"), PathBuf::from);
    let python = option("--python").unwrap_or_else(|| "python3".to_owned());
    let runs = option("--runs").unwrap_or_else(|| "5".to_owned());
    cargo(&["build", "--release", "--workspace", "--examples"])?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let program = target.join("release/examples/bench");
    let folder = std::env::temp_dir().join(format!("zegclip-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut table = String::new();
    for work in &WORKS {
        let weights = folder.join(format!("{}.safetensors", work.preset));
        if !weights.exists() {
            output(Command::new(&program).args(["weights", &weights.display().to_string(), work.preset]))?;
        }
        let rows = measure(work, &program, &weights, &peers, &python, &runs)?;
        table += &markdown(work.title, &rows);
    }
    let _ = std::fs::remove_dir_all(&folder);
    print!("{table}");
    let command = format!("cargo xtask bench --runs {runs}");
    write_table(&format!(
        "Made by `{command}` on {} ({}).\n\n{table}",
        machine(),
        date()
    ))
}

fn measure(
    work: &Work,
    program: &Path,
    weights: &Path,
    peers: &Path,
    python: &str,
    runs: &str,
) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let ours: Vec<String> = work
        .ours
        .iter()
        .map(|argument| match *argument {
            "WEIGHTS" => weights.display().to_string(),
            "RUNS" => runs.to_owned(),
            other => other.to_owned(),
        })
        .collect();
    let own = last_json(&output(Command::new(program).args(&ours))?)?;
    let mut gflop = None;
    for arguments in work.peers {
        let mut command = Command::new(python);
        command
            .arg(peers.join("bench.py"))
            .args(*arguments)
            .args(["--runs", runs]);
        match output(&mut command).and_then(|text| last_json(&text)) {
            Ok(result) => {
                gflop = gflop.or(result["gflop"].as_f64().filter(|_| work.gflop_key));
                rows.push(row(
                    result["engine"].as_str().unwrap_or("?"),
                    &result,
                    result["gflop"].as_f64(),
                ));
            }
            Err(message) => eprintln!("left out: {} ({message})", arguments.join(" ")),
        }
    }
    rows.insert(0, row("zegclip, cpu", &own, gflop));
    Ok(rows)
}

fn row(engine: &str, result: &Value, gflop: Option<f64>) -> Row {
    let number = |key: &str| result[key].as_f64();
    let median = number("median_s").unwrap_or(f64::NAN);
    Row {
        engine: engine.to_owned(),
        median,
        spread: number("max_s").map_or(f64::NAN, |max| max) - number("min_s").unwrap_or(f64::NAN),
        gflops: gflop.map(|gflop| gflop / median),
        memory: number("rss_peak_mb"),
    }
}

fn markdown(title: &str, rows: &[Row]) -> String {
    let own = rows.first().map_or(f64::NAN, |row| row.median);
    let mut text = format!(
        "### {title}\n\n| engine | median s | max − min s | ours / its time | GFLOP/s | peak MB |\n|---|---|---|---|---|---|\n"
    );
    let shown = |value: Option<f64>, digits: usize| match value {
        Some(value) if value.is_finite() => format!("{value:.digits$}"),
        _ => "–".to_owned(),
    };
    for row in rows {
        text += &format!(
            "| {} | {:.3} | {} | {:.2} | {} | {} |\n",
            row.engine,
            row.median,
            shown(Some(row.spread), 3),
            own / row.median,
            shown(row.gflops, 0),
            shown(row.memory, 0)
        );
    }
    text + "\n"
}

fn output(command: &mut Command) -> Result<String, String> {
    let result = command
        .output()
        .map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))?;
    if !result.status.success() {
        let message = String::from_utf8_lossy(&result.stderr);
        return Err(message.lines().last().unwrap_or("no message").to_owned());
    }
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}

fn last_json(text: &str) -> Result<Value, String> {
    let line = text
        .lines()
        .rfind(|line| line.starts_with('{'))
        .ok_or("no result was printed")?;
    serde_json::from_str(line).map_err(|error| error.to_string())
}

fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(':').nth(1).map(str::trim));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {threads} threads", model.unwrap_or("an unknown processor"))
}

fn date() -> String {
    output(Command::new("date").arg("+%F")).map_or_else(|_| "undated".to_owned(), |text| text.trim().to_owned())
}

fn write_table(table: &str) -> Result<(), String> {
    let path = root().join("BENCHMARKS.md");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (Some(start), Some(end)) = (text.find(START), text.find(END)) else {
        return Err(format!("{} lacks the lines `{START}` and `{END}`", path.display()));
    };
    let text = format!("{}{START}\n{table}{}", &text[..start], &text[end..]);
    let temporary = path.with_extension("md.tmp");
    std::fs::write(&temporary, text)
        .and_then(|()| std::fs::rename(&temporary, &path))
        .map_err(|error| format!("{}: {error}", path.display()))
}
