//! tmp
use zegclip_data::*;
fn main() {
    let out = std::env::args().nth(1).unwrap();
    let mut t = 0.0;
    for p in std::env::args().skip(2) {
        let b = std::fs::read(&p).unwrap();
        let s = std::time::Instant::now();
        let r = decode_image(&b, &p, &ImageLimits::default());
        t += s.elapsed().as_secs_f64();
        let stem = std::path::Path::new(&p).file_name().unwrap().to_str().unwrap().to_owned();
        match r { Ok(i) => std::fs::write(format!("{out}/{stem}.rgb"), i.as_raw()).unwrap(), Err(e) => { use std::io::Write; writeln!(std::io::stderr(), "{e}").unwrap() } }
    }
    use std::io::Write; writeln!(std::io::stderr(), "{t:.3}s").unwrap();
}
