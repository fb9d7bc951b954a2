use burn::tensor::{Device, Distribution, Tensor};
use zegclip_model::{ZegClip, ZegClipConfig, device};
fn main() {
    let name = std::env::args().nth(1).unwrap_or("cpu".into());
    let device: Device = device::open(name.parse().unwrap()).unwrap().device;
    for (label, config, classes) in [("voc", ZegClipConfig::voc(), 20), ("coco", ZegClipConfig::coco(), 171)] {
        let model = ZegClip::new(&config, &device);
        let image = Tensor::<4>::random([1, 3, 512, 512], Distribution::Normal(0.0, 1.0), &device);
        let text = Tensor::<2>::random([classes, 512], Distribution::Normal(0.0, 0.04), &device);
        let folded = model.fold();
        for _ in 0..4 {
            let t = std::time::Instant::now();
            let f = model.encode_image(image.clone(), None);
            let _ = f.class.into_data();
            let enc = t.elapsed();
            let t = std::time::Instant::now();
            let out = model.predict(image.clone(), text.clone(), &folded).into_data();
            println!("{label} encode {enc:?} predict {:?} {:?}", t.elapsed(), out.shape());
        }
    }
}
