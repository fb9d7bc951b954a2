use serde_json::Value;
use zegclip_train::ScheduleConfig;

use crate::cases::root;

#[test]
fn parity_schedule() {
    let mut found = 0;
    for entry in std::fs::read_dir(root()).unwrap().flatten() {
        let path = entry.path();
        // Some roots hold `schedule.json`, others a folder with a `case.json` of this kind.
        let path = if path.is_dir() { path.join("case.json") } else { path };
        let is_json = path.extension().is_some_and(|end| end == "json");
        let Some(text) = is_json.then(|| std::fs::read_to_string(&path).ok()).flatten() else {
            continue;
        };
        let json: Value = serde_json::from_str(&text).unwrap();
        if json["kind"] != "schedule" {
            continue;
        }
        found += 1;
        let number = |key: &str| {
            json[key]
                .as_f64()
                .unwrap_or_else(|| panic!("{}: {key}", path.display()))
        };
        let schedule = ScheduleConfig {
            warmup: number("warmup") as u64,
            warmup_ratio: number("warmup_ratio"),
            power: number("power"),
            min_lr: number("min_lr"),
        };
        let rates = json["lr"].as_object().unwrap();
        assert!(!rates.is_empty());
        for (iteration, expected) in rates {
            let expected = expected.as_f64().unwrap();
            let iteration = iteration.parse().unwrap();
            let rate = schedule.rate(number("base_lr"), iteration, number("iterations") as u64);
            let relative = (rate - expected).abs() / expected;
            assert!(
                relative <= number("tolerance_relative"),
                "{}: {iteration}: {rate} instead of {expected}",
                path.display()
            );
        }
    }
    assert!(found > 0, "no schedule under {}", root().display());
}
