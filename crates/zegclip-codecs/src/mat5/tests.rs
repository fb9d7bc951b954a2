//! Files built by hand so that each test can break one thing, and files of another writer.

use super::elements::{MI_COMPRESSED, MI_DOUBLE, MI_INT8, MI_INT32, MI_MATRIX, MI_UINT8, MI_UINT16, MI_UINT32};
use super::label_matrix::MX_STRUCT;
use super::*;

/// What MATLAB and SciPy write, built by hand so that each test can break one thing.
mod build {
    use super::*;
    use std::io::Write;

    pub(super) fn element(kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
        bytes.extend(data);
        if kind != MI_COMPRESSED {
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        bytes
    }

    pub(super) fn matrix(class: u8, dimensions: [u32; 2], name: &str, contents: &[u8]) -> Vec<u8> {
        let flags = element(MI_UINT32, &[u32::from(class).to_le_bytes(), [0; 4]].concat());
        let dimensions = element(MI_INT32, &dimensions.map(u32::to_le_bytes).concat());
        let name = element(MI_INT8, name.as_bytes());
        element(MI_MATRIX, &[flags, dimensions, name, contents.to_vec()].concat())
    }

    pub(super) fn compressed(contents: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(contents).unwrap();
        element(MI_COMPRESSED, &encoder.finish().unwrap())
    }

    pub(super) fn file(variables: &[Vec<u8>]) -> Vec<u8> {
        let mut file = vec![b' '; 124];
        file.extend([0, 1, b'I', b'M']);
        file.extend(variables.concat());
        file
    }

    pub(super) fn segmentation(values: &[u8], dimensions: [u32; 2]) -> Vec<u8> {
        let names = b"Boundaries\0\0\0\0\0\0Segmentation\0\0\0\0";
        // The small element form for the length of names, as MATLAB writes it.
        let length = [(4_u32 << 16 | MI_INT32).to_le_bytes(), 16_u32.to_le_bytes()].concat();
        let boundaries = matrix(1, [0, 0], "", &[]);
        let labels = matrix(9, dimensions, "", &element(MI_UINT8, values));
        let contents = [length, element(MI_INT8, names), boundaries, labels].concat();
        matrix(MX_STRUCT, [1, 1], "GTcls", &contents)
    }
}

const PATH: [&str; 2] = ["GTcls", "Segmentation"];

#[test]
fn columns_become_rows() {
    let variable = build::segmentation(&[1, 2, 3, 4, 5, 6], [2, 3]);
    let expected = LabelMatrix {
        width: 3,
        height: 2,
        values: vec![1, 3, 5, 2, 4, 6],
    };
    let other = build::matrix(6, [1, 1], "other", &build::element(MI_UINT8, &[9]));
    assert_eq!(
        read_label_matrix(&build::file(&[other.clone(), variable.clone()]), &PATH).unwrap(),
        expected
    );
    let file = build::file(&[build::compressed(&other), build::compressed(&variable)]);
    assert_eq!(read_label_matrix(&file, &PATH).unwrap(), expected);
}

#[test]
fn files_of_another_writer_are_read() {
    // Written by SciPy 1.17: compressed with SBD's fields, boundaries as sparse matrices; and uncompressed.
    let sbd = read_label_matrix(include_bytes!("../../tests/data/sbd.mat"), &PATH).unwrap();
    assert_eq!(
        sbd,
        LabelMatrix {
            width: 4,
            height: 3,
            values: (0..12).collect()
        }
    );
    let context = read_label_matrix(include_bytes!("../../tests/data/context459.mat"), &["LabelMap"]).unwrap();
    assert_eq!(
        context,
        LabelMatrix {
            width: 4,
            height: 3,
            values: (0..12).map(|value| 40 * value).collect()
        }
    );
}

#[test]
fn labels_may_be_stored_as_any_number() {
    let doubles = [300.0_f64, 0.0].map(f64::to_le_bytes).concat();
    let shorts = [300_u16, 0].map(u16::to_le_bytes).concat();
    for (kind, data) in [(MI_DOUBLE, doubles), (MI_UINT16, shorts)] {
        let file = build::file(&[build::matrix(6, [1, 2], "LabelMap", &build::element(kind, &data))]);
        assert_eq!(read_label_matrix(&file, &["LabelMap"]).unwrap().values, [300, 0]);
    }
    let halves = build::element(MI_DOUBLE, &0.5_f64.to_le_bytes());
    let file = build::file(&[build::matrix(6, [1, 1], "LabelMap", &halves)]);
    let error = read_label_matrix(&file, &["LabelMap"]).unwrap_err().to_string();
    assert!(error.contains("`LabelMap` is not made of integers"), "{error}");
}

#[test]
fn what_is_missing_is_named() {
    let file = build::file(&[build::segmentation(&[0], [1, 1])]);
    let error = read_label_matrix(&file, &["GTinst", "Segmentation"]).unwrap_err();
    assert_eq!(error.to_string(), "it has no `GTinst` (it has: GTcls)");
    let error = read_label_matrix(&file, &["GTcls", "Labels"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it has no `GTcls.Labels` (it has: Boundaries, Segmentation)"
    );
    let error = read_label_matrix(&file, &["GTcls"]).unwrap_err().to_string();
    assert!(error.contains("`GTcls` is a structure"), "{error}");
    let error = read_label_matrix(&file, &["GTcls", "Boundaries"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("`GTcls.Boundaries` is a cell array"), "{error}");
}

#[test]
fn sizes_are_checked_before_they_are_believed() {
    let file = build::file(&[build::segmentation(&[1, 2], [u32::MAX, u32::MAX])]);
    let error = read_label_matrix(&file, &PATH).unwrap_err();
    assert!(matches!(error, Mat5Error::Damaged(_)), "{error}");
    let bomb = build::compressed(&vec![0; (MAX_INFLATED_BYTES + 1) as usize]);
    assert!(matches!(
        read_label_matrix(&build::file(&[bomb]), &PATH),
        Err(Mat5Error::TooLarge { .. })
    ));
}

#[test]
fn no_cut_and_no_flipped_byte_panics() {
    for variable in [
        build::segmentation(&[1, 2, 3, 4, 5, 6], [2, 3]),
        build::compressed(&build::segmentation(&[1, 2, 3, 4, 5, 6], [2, 3])),
    ] {
        let file = build::file(&[variable]);
        for length in 0..file.len() {
            let cut = &file[..length];
            assert!(
                read_label_matrix(cut, &PATH).is_err() || length + 8 > file.len(),
                "{length}"
            );
        }
        for position in 120..file.len() {
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[position] ^= 1 << bit;
                // The result may be anything but a panic.
                let _ = read_label_matrix(&damaged, &PATH).map_err(|error| error.to_string());
            }
        }
    }
}

#[test]
fn other_files_are_told_apart() {
    assert!(matches!(
        read_label_matrix(b"MATLAB 7.3 MAT-file", &PATH),
        Err(Mat5Error::Hdf5)
    ));
    assert!(matches!(
        read_label_matrix(b"\x89PNG\r\n", &PATH),
        Err(Mat5Error::NotMatlab)
    ));
    assert!(matches!(read_label_matrix(&[], &PATH), Err(Mat5Error::NotMatlab)));
}
