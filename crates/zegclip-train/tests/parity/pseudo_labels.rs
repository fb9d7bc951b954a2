use burn::tensor::{Device, Tensor};
use zegclip_data::TrainingLabels;
use zegclip_train::{Objective, forward_backward, pseudo_label};

use crate::cases::{OnDevice, cases};
use crate::recorded_model::{labels, model, seen, text_features};

#[test]
fn parity_pseudo_labels_and_their_loss() {
    for case in cases("pseudo_labels") {
        let device = Device::flex();
        let model = model(&case, &device);
        let text = text_features(&case, &device);
        let images: Tensor<4> = case.tensor("image").tensor(&device);
        let [_, _, rows, columns] = images.dims();
        let labels = labels(&case, "labels");
        let unseen: Vec<u16> = seen(&case).unseen().map(|class| class.get()).collect();
        assert!(
            labels.contains(&TrainingLabels::UNSEEN),
            "{}: nothing to label",
            case.name()
        );

        let mut ours = labels.clone();
        let masks = model.forward(images.clone(), text.clone());
        pseudo_label(&mut ours, masks, &unseen, [rows, columns]).unwrap();
        let mut pseudo = 0;
        for ((ours, label), recorded) in ours.iter().zip(&labels).zip(&case.tensor("pseudo_labels").values) {
            let recorded = *recorded as u16;
            match *label {
                TrainingLabels::IGNORED => assert!(*ours == TrainingLabels::IGNORED && [200, 255].contains(&recorded)),
                _ => assert_eq!(*ours, recorded, "{}", case.name()),
            }
            pseudo += usize::from(*label == TrainingLabels::UNSEEN);
        }
        println!("{}: {pseudo} pseudo-labels", case.name());

        let objective = Objective {
            unseen,
            label_stride: 1,
            ..Objective::default()
        };
        let (losses, _) = forward_backward(&model, &text, images, &labels, &objective)
            .unwrap()
            .finish(&model);
        case.check("loss_mask", &[losses.mask as f32]);
        case.check("loss_dice", &[losses.dice.unwrap() as f32]);
    }
}
