use zegclip_train::ScheduleConfig;

use crate::cases::cases;

#[test]
fn parity_schedule() {
    for case in cases("schedule") {
        let schedule = ScheduleConfig {
            warmup: case.number("/warmup") as u64,
            warmup_ratio: case.float("/warmup_ratio"),
            power: case.float("/power"),
            min_lr: case.float("/min_lr"),
        };
        let rates = case.json["lr"].as_object().unwrap();
        assert!(!rates.is_empty());
        for (iteration, expected) in rates {
            let expected = expected.as_f64().unwrap();
            let iteration = iteration.parse().unwrap();
            let rate = schedule.rate(case.float("/base_lr"), iteration, case.number("/iterations") as u64);
            let relative = (rate - expected).abs() / expected;
            assert!(
                relative <= case.float("/tolerance_relative"),
                "{}: {iteration}: {rate} instead of {expected}",
                case.folder.display()
            );
        }
    }
}
