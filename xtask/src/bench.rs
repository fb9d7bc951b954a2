//! One table: this project and its peers on the same machine in the same run, alternating.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::{cargo, root, target_folder};

/// Where the table stands in `BENCHMARKS.md`.
const START: &str = "<!-- bench: start -->";
const END: &str = "<!-- bench: end -->";

/// What is measured.
struct Work {
    title: &'static str,
    /// Our example and its arguments; `WEIGHTS:PRESET` stands for a file of random weights and `RUNS` for the number of runs.
    ours: &'static [&'static str],
    /// Arguments of `bench.py` among the peers, or `STEP` and those of `tests/python/small_step.py`.
    peers: &'static [&'static [&'static str]],
    /// Whether the peers' count of operations is that of ours.
    same_operations: bool,
    /// The peers' configuration whose labels are compared with ours.
    labels: Option<&'static str>,
}

const WORKS: [Work; 8] = [
    Work {
        title: "512×512 crop, VOC (10 prompts, 20 classes)",
        ours: &["bench", "crop", "WEIGHTS:voc", "voc20", "RUNS"],
        peers: &[
            &["infer", "--config", "voc", "--engine", "eager"],
            &["infer", "--config", "voc", "--engine", "compile"],
            &["infer", "--config", "voc", "--engine", "onnxruntime"],
            &["infer", "--config", "voc", "--engine", "openvino"],
            &[
                "infer",
                "--config",
                "voc",
                "--engine",
                "openvino",
                "--precision",
                "bf16",
            ],
        ],
        same_operations: true,
        labels: Some("voc"),
    },
    Work {
        title: "512×512 crop, COCO-Stuff (100 prompts, 171 classes)",
        ours: &["bench", "crop", "WEIGHTS:coco", "coco171", "RUNS"],
        peers: &[
            &["infer", "--config", "coco", "--engine", "eager"],
            &["infer", "--config", "coco", "--engine", "compile"],
            &["infer", "--config", "coco", "--engine", "onnxruntime"],
            &["infer", "--config", "coco", "--engine", "openvino"],
            &[
                "infer",
                "--config",
                "coco",
                "--engine",
                "openvino",
                "--precision",
                "bf16",
            ],
        ],
        same_operations: true,
        labels: Some("coco"),
    },
    Work {
        // Peers slide over 1024×768; we first bring the short side to 512 as the paper's test does, so the same number of
        // windows needs the photo whose resized form is that large.
        title: "1024×768 photo, COCO-Stuff",
        ours: &["bench", "photo", "WEIGHTS:coco", "coco171", "1024x768", "RUNS"],
        peers: &[
            &["slide", "--config", "coco", "--engine", "eager", "--size", "683x512"],
            &[
                "slide",
                "--config",
                "coco",
                "--engine",
                "onnxruntime",
                "--size",
                "683x512",
            ],
            &["slide", "--config", "coco", "--engine", "openvino", "--size", "683x512"],
        ],
        same_operations: false,
        labels: None,
    },
    Work {
        title: "171 classes × 15 templates through the text encoder",
        ours: &["bench", "text", "coco171", "RUNS"],
        peers: &[&["text", "--limit", "342"]],
        same_operations: false,
        labels: None,
    },
    Work {
        title: "Training step, batch 4 at 512×512, frozen CLIP, VOC (10 prompts, 15 classes)",
        ours: &["training_step", "voc", "4", "RUNS"],
        peers: &[&["train", "--config", "voc", "--batch", "4"]],
        same_operations: true,
        labels: None,
    },
    Work {
        title: "Training step, batch 4 at 512×512, frozen CLIP, COCO-Stuff (100 prompts, 156 classes)",
        ours: &["training_step", "coco", "4", "RUNS"],
        peers: &[&["train", "--config", "coco", "--batch", "4"]],
        same_operations: true,
        labels: None,
    },
    Work {
        title: "Training step of a small encoder (width 192, 6 layers, 64 patches, batch 64), all of it trained",
        ours: &["training_step", "small", "64", "RUNS"],
        peers: &[&["STEP", "small", "64"]],
        same_operations: false,
        labels: None,
    },
    Work {
        title: "Pre-training step of the demo model's CLIP (images of 48×48, captions of 6 to 12 tokens, batch 128)",
        ours: &["training_step", "clip", "128", "RUNS"],
        peers: &[&["STEP", "clip", "128"]],
        same_operations: false,
        labels: None,
    },
];

/// Where things are, and how often they run.
struct Setting {
    programs: PathBuf,
    scratch: PathBuf,
    peers: PathBuf,
    python: String,
    runs: String,
    rounds: usize,
}

/// Best rate of a large f32 product that the peers' libraries reach on this machine, in GFLOP/s.
type Peak = Option<f64>;

#[derive(Default)]
struct Row {
    engine: String,
    /// Share of the pixels of a photo that have the label that `zegclip segment` gives them, on the peers' weights.
    same_labels: Option<f64>,
    /// The median of each round.
    medians: Vec<f64>,
    gflop: Option<f64>,
    memory: Option<f64>,
}

impl Row {
    /// The shortest of the rounds: other programs only ever add time.
    fn time(&self) -> f64 {
        self.medians.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn spread(&self) -> f64 {
        self.medians.iter().copied().fold(0.0, f64::max) - self.time()
    }
}

pub(crate) fn run(options: &[&str]) -> Result<(), String> {
    let option = |name: &str| {
        options
            .windows(2)
            .find(|pair| pair[0] == name)
            .map(|pair| pair[1].to_owned())
    };
    let number = |name: &str, default: usize| match option(name) {
        Some(text) => text.parse().map_err(|_| format!("{name} `{text}` is not a number")),
        None => Ok(default),
    };
    cargo(&["build", "--release", "--workspace", "--examples"])?;
    let target = target_folder();
    let setting = Setting {
        programs: target.join("release/examples"),
        scratch: std::env::temp_dir().join(format!("zegclip-bench-{}", std::process::id())),
        peers: option("--peers").map_or_else(|| root().join("../shared/peers"), PathBuf::from),
        python: option("--python").unwrap_or_else(|| "python3".to_owned()),
        runs: number("--runs", 5)?.max(1).to_string(),
        rounds: number("--rounds", 2)?.max(1),
    };
    let only = option("--only");
    std::fs::create_dir_all(&setting.scratch).map_err(|error| format!("{}: {error}", setting.scratch.display()))?;
    let peak = setting.gemm_peak();
    let mut table = String::new();
    for work in &WORKS {
        if only.as_ref().is_none_or(|only| work.title.contains(only.as_str())) {
            // Each as it comes: all of them take half an hour.
            let rows = markdown(work.title, &setting.measure(work)?, peak);
            print!("{rows}");
            table += &rows;
        }
    }
    let _ = std::fs::remove_dir_all(&setting.scratch);
    if only.is_some() {
        return Ok(());
    }
    let peak = peak.map_or_else(String::new, |peak| {
        format!(" Best f32 matrix product of the peers' libraries: {peak:.0} GFLOP/s.")
    });
    let command = format!("cargo xtask bench --runs {} --rounds {}", setting.runs, setting.rounds);
    write_table(&format!(
        "Made by `{command}` on {} ({}).{peak}\n\n{table}",
        machine(),
        date()
    ))
}

impl Setting {
    /// Ours first, then the peers, as often as there are rounds, so that a machine that others use is unfair to none.
    fn measure(&self, work: &Work) -> Result<Vec<Row>, String> {
        let mut rows: Vec<Row> = std::iter::repeat_with(Row::default)
            .take(1 + work.peers.len())
            .collect();
        for _ in 0..self.rounds {
            let own = self.ours(work.ours)?;
            rows[0].add("zegclip, cpu, fp32", &own, None);
            for (row, arguments) in rows[1..].iter_mut().zip(work.peers) {
                eprintln!("{}: {}", work.title, arguments.join(" "));
                match self.peer(arguments) {
                    Ok(result) => {
                        let text = |key: &str, default: &str| result[key].as_str().unwrap_or(default).to_owned();
                        let engine = format!("{}, {}", text("engine", "?"), text("precision", "fp32"));
                        row.add(&engine, &result, result["gflop"].as_f64());
                    }
                    Err(message) => eprintln!("left out: {} ({message})", arguments.join(" ")),
                }
            }
        }
        rows.retain(|row| !row.medians.is_empty());
        if let Some(config) = work.labels {
            self.compare_labels(config, &mut rows)?;
        }
        if work.same_operations {
            rows[0].gflop = rows.iter().find_map(|row| row.gflop);
        }
        Ok(rows)
    }

    fn ours(&self, arguments: &[&str]) -> Result<Value, String> {
        let mut filled = Vec::with_capacity(arguments.len());
        for argument in arguments {
            filled.push(match argument.split_once(':') {
                Some((_, preset)) => self.weights(preset)?.display().to_string(),
                None if *argument == "RUNS" => self.runs.clone(),
                None => (*argument).to_owned(),
            });
        }
        last_json(&output(
            Command::new(self.programs.join(&filled[0])).args(&filled[1..]),
        )?)
    }

    /// Asks `tests/python/peer_labels.py` in how many pixels each engine agrees.
    fn compare_labels(&self, config: &str, rows: &mut [Row]) -> Result<(), String> {
        let mut command = Command::new(&self.python);
        command.arg(root().join("tests/python/peer_labels.py"));
        command.arg("--peers").arg(&self.peers);
        command.arg("--zegclip").arg(self.programs.join("../zegclip"));
        command.args(["--config", config]);
        command.arg(root().join("assets/photos/chelsea.jpg"));
        command.args(rows.iter().skip(1).map(|row| row.engine.replace(", ", ":")));
        for line in output(&mut command)?.lines().filter(|line| line.starts_with('{')) {
            let result: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            let text = |key: &str| result[key].as_str().unwrap_or_default();
            let engine = format!("{}, {}", text("engine"), text("precision"));
            if let Some(row) = rows.iter_mut().find(|row| row.engine == engine) {
                row.same_labels = result["same_labels"].as_f64();
            }
        }
        Ok(())
    }

    /// A file of random weights, made once.
    fn weights(&self, preset: &str) -> Result<PathBuf, String> {
        let file = self.scratch.join(format!("{preset}.safetensors"));
        if !file.exists() {
            output(Command::new(self.programs.join("bench")).args(["weights", &file.display().to_string(), preset]))?;
        }
        Ok(file)
    }

    fn peer(&self, arguments: &[&str]) -> Result<Value, String> {
        let mut command = Command::new(&self.python);
        if let ["STEP", work, batch] = arguments {
            let script = root().join("tests/python/small_step.py");
            command.arg(script).arg(&self.peers).args([*work, *batch, &self.runs]);
        } else {
            let script = self.peers.join("bench.py");
            command.arg(script).args(arguments).args(["--runs", &self.runs]);
        }
        last_json(&output(&mut command)?)
    }

    fn gemm_peak(&self) -> Peak {
        let mut command = Command::new(&self.python);
        command
            .arg(self.peers.join("bench.py"))
            // It also multiplies bf16, half a minute a product where the CPU does not.
            .args(["machine", "--runs", "3", "--warmup", "1"]);
        let result = last_json(&output(&mut command).ok()?).ok()?;
        ["fp32_matmul_gflops_best", "fp32_onednn_gflops_best"]
            .iter()
            .filter_map(|key| result[*key].as_f64())
            .reduce(f64::max)
    }
}

impl Row {
    fn add(&mut self, engine: &str, result: &Value, gflop: Option<f64>) {
        engine.clone_into(&mut self.engine);
        // A part of the prompts stands for all of them where that is said.
        let time = result["all_prompts_s"].as_f64().or_else(|| result["median_s"].as_f64());
        self.medians.extend(time);
        self.gflop = gflop;
        let memory = result["rss_peak_mb"].as_f64();
        self.memory = self.memory.into_iter().chain(memory).reduce(f64::max);
    }
}

fn markdown(title: &str, rows: &[Row], peak: Peak) -> String {
    let own = rows.first().map_or(f64::NAN, Row::time);
    let mut text = format!(
        "### {title}\n\n| engine | s | spread s | ours / its time | GFLOP/s | of the peak | peak MB | same labels |\n|---|---|---|---|---|---|---|---|\n"
    );
    let shown = |value: Option<f64>, digits: usize| match value {
        Some(value) if value.is_finite() => format!("{value:.digits$}"),
        _ => "–".to_owned(),
    };
    for row in rows {
        let rate = row.gflop.map(|gflop| gflop / row.time());
        text += &format!(
            "| {} | {:.3} | {:.3} | {:.2} | {} | {} | {} | {} |\n",
            row.engine,
            row.time(),
            row.spread(),
            own / row.time(),
            shown(rate, 0),
            shown(rate.zip(peak).map(|(rate, peak)| rate / peak), 2),
            shown(row.memory, 0),
            row.same_labels
                .map_or_else(|| "–".to_owned(), |share| format!("{:.3} %", 100.0 * share))
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
    format!("{}, {threads} threads", model.unwrap_or("an unknown CPU"))
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
    zegclip_foundation::write_atomically(&path, |file| file.write_all(text.as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))
}
