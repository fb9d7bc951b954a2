//! A matrix of labels in a variable, or in the fields of a structure.

use std::borrow::Cow;

use super::elements::{
    Element, Elements, Endian, HEADER_BYTES, MI_COMPRESSED, MI_DOUBLE, MI_INT8, MI_INT16, MI_INT32, MI_MATRIX,
    MI_SINGLE, MI_UINT8, MI_UINT16, MI_UINT32, inflate, read_header,
};
use super::error::Mat5Error;

/// The matrix of a label file, `[height, width]`, of the values as stored (0 to 255 in SBD, 0 to 459 in PASCAL Context).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMatrix {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `height × width` values, row by row; MATLAB stores columns.
    pub values: Vec<u16>,
}

/// Reads the matrix at `path`: a variable and then field names, such as `["GTcls", "Segmentation"]`.
///
/// Any numeric type is read, as long as every value is an integer from 0 to 65,535.
///
/// ```
/// use zegclip_codecs::mat5::read_label_matrix;
///
/// let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sbd.mat"))?;
/// let labels = read_label_matrix(&file, &["GTcls", "Segmentation"])?;
/// assert_eq!((labels.width, labels.height, labels.values[5]), (4, 3, 5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Mat5Error::NotMatlab`] and [`Mat5Error::Hdf5`] for other files, [`Mat5Error::Missing`] if there is no such variable
/// or field, [`Mat5Error::NotLabels`] for another kind of value, [`Mat5Error::Damaged`] and [`Mat5Error::TooLarge`].
pub fn read_label_matrix(file: &[u8], path: &[&str]) -> Result<LabelMatrix, Mat5Error> {
    let (variable, fields) = path.split_first().ok_or(Mat5Error::EmptyPath)?;
    let mut elements = Elements {
        endian: read_header(file)?,
        rest: file.get(HEADER_BYTES..).unwrap_or_default(),
    };
    let mut found = Vec::new();
    while let Some(mut element) = elements.next()? {
        let inflated;
        if element.kind == MI_COMPRESSED {
            inflated = inflate(element.data)?;
            element = Elements {
                rest: &inflated,
                ..elements
            }
            .expect("a compressed variable is empty")?;
        }
        if element.kind != MI_MATRIX {
            continue;
        }
        let matrix = Matrix::parse(element.data, elements.endian)?;
        if matrix.name == *variable {
            return descend(matrix, variable, fields);
        }
        found.push(matrix.name);
    }
    Err(Mat5Error::Missing {
        wanted: (*variable).to_owned(),
        found,
    })
}

/// The most fields of a structure; label files have a few.
const MAX_FIELDS: usize = 1024;
pub(super) const MX_STRUCT: u8 = 2;
const MX_OBJECT: u8 = 3;
const MX_FIRST_NUMERIC: u8 = 6;
const MX_LAST_NUMERIC: u8 = 15;
const COMPLEX_FLAG: u32 = 1 << 11;

/// A variable or field: its header, and the elements that contain its values.
struct Matrix<'a> {
    class: u8,
    complex: bool,
    dimensions: Vec<u32>,
    name: String,
    contents: Elements<'a>,
}

impl<'a> Matrix<'a> {
    fn parse(data: &'a [u8], endian: Endian) -> Result<Self, Mat5Error> {
        let mut contents = Elements { endian, rest: data };
        let flags = contents.expect("a matrix has no flags")?.data;
        let flags = flags
            .first_chunk::<4>()
            .ok_or(Mat5Error::Damaged("the flags of a matrix are too short"))?;
        let flags = endian.u32(*flags);
        let dimensions = contents.expect("a matrix has no dimensions")?.data;
        let dimensions = dimensions
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| endian.u32(bytes))
            .collect();
        let name = contents.expect("a matrix has no name")?.data;
        let name = text(name).into_owned();
        Ok(Self {
            class: (flags & 0xFF) as u8,
            complex: flags & COMPLEX_FLAG != 0,
            dimensions,
            name,
            contents,
        })
    }

    fn describe(&self) -> &'static str {
        match self.class {
            1 => "a cell array",
            MX_STRUCT => "a structure",
            MX_OBJECT => "an object",
            4 => "text",
            5 => "a sparse matrix",
            MX_FIRST_NUMERIC..=MX_LAST_NUMERIC if self.complex => "complex",
            MX_FIRST_NUMERIC..=MX_LAST_NUMERIC => "an array of other dimensions",
            _ => "of an unknown kind",
        }
    }

    /// The fields of the first structure of a structure array, by name.
    fn fields(mut self) -> Result<Vec<(String, Element<'a>)>, Mat5Error> {
        const NAMES: &str = "the field names of a structure are damaged";
        if self.class == MX_OBJECT {
            self.contents.expect(NAMES)?;
        }
        let length = self.contents.expect(NAMES)?.data;
        let length = length.first_chunk::<4>().ok_or(Mat5Error::Damaged(NAMES))?;
        let length = self.contents.endian.u32(*length) as usize;
        let names = self.contents.expect(NAMES)?.data;
        if length == 0 || names.len() % length != 0 || names.len() / length > MAX_FIELDS {
            return Err(Mat5Error::Damaged(NAMES));
        }
        let names = names.chunks_exact(length).map(|name| text(name).into_owned());
        let mut fields = Vec::new();
        for name in names {
            fields.push((name, self.contents.expect("a structure has fewer fields than names")?));
        }
        Ok(fields)
    }

    fn labels(mut self, name: &str) -> Result<LabelMatrix, Mat5Error> {
        let not_labels = |found| Mat5Error::NotLabels {
            name: name.to_owned(),
            found,
        };
        let numeric = (MX_FIRST_NUMERIC..=MX_LAST_NUMERIC).contains(&self.class) && !self.complex;
        let (true, &[height, width]) = (numeric, self.dimensions.as_slice()) else {
            return Err(not_labels(self.describe()));
        };
        let element = self.contents.expect("a matrix has no values")?;
        let columns =
            decode(element, self.contents.endian).ok_or_else(|| not_labels("not made of integers from 0 to 65535"))?;
        // The product is compared, never allocated, before it is known to be the number of values in the file.
        if u64::from(width) * u64::from(height) != columns.len() as u64 {
            return Err(Mat5Error::Damaged(
                "the number of values of a matrix does not match its dimensions",
            ));
        }
        let (rows, columns_count) = (height as usize, width as usize);
        let mut values = vec![0; columns.len()];
        for (x, column) in columns.chunks_exact(rows.max(1)).enumerate() {
            let targets = values.iter_mut().skip(x).step_by(columns_count.max(1));
            targets.zip(column).for_each(|(target, &value)| *target = value);
        }
        Ok(LabelMatrix { width, height, values })
    }
}

fn descend(matrix: Matrix<'_>, name: &str, fields: &[&str]) -> Result<LabelMatrix, Mat5Error> {
    let Some((field, deeper)) = fields.split_first() else {
        return matrix.labels(name);
    };
    if matrix.class != MX_STRUCT && matrix.class != MX_OBJECT {
        return Err(Mat5Error::NotLabels {
            name: name.to_owned(),
            found: matrix.describe(),
        });
    }
    let endian = matrix.contents.endian;
    let found = matrix.fields()?;
    let Some((_, element)) = found.iter().find(|(name, _)| name == field) else {
        let found = found.into_iter().map(|(name, _)| name).collect();
        return Err(Mat5Error::Missing {
            wanted: format!("{name}.{field}"),
            found,
        });
    };
    if element.kind != MI_MATRIX {
        return Err(Mat5Error::Damaged("a field is not a matrix"));
    }
    descend(Matrix::parse(element.data, endian)?, &format!("{name}.{field}"), deeper)
}

/// The integers of an element of any numeric type; `None` if one is not a label.
fn decode(element: Element<'_>, endian: Endian) -> Option<Vec<u16>> {
    let data = element.data;
    match element.kind {
        MI_UINT8 => Some(data.iter().map(|&value| value.into()).collect()),
        MI_INT8 => data.iter().map(|&value| u16::try_from(value as i8).ok()).collect(),
        MI_UINT16 => convert::<2>(data, |bytes| Some(endian.u16(bytes))),
        MI_INT16 => convert::<2>(data, |bytes| u16::try_from(endian.u16(bytes) as i16).ok()),
        MI_UINT32 => convert::<4>(data, |bytes| u16::try_from(endian.u32(bytes)).ok()),
        MI_INT32 => convert::<4>(data, |bytes| u16::try_from(endian.u32(bytes) as i32).ok()),
        MI_SINGLE => convert::<4>(data, |bytes| integer(f32::from_bits(endian.u32(bytes)).into())),
        MI_DOUBLE => convert::<8>(data, |bytes| integer(f64::from_bits(endian.u64(bytes)))),
        _ => None,
    }
}

fn convert<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> Option<u16>) -> Option<Vec<u16>> {
    data.as_chunks().0.iter().map(|&bytes| value(bytes)).collect()
}

fn integer(value: f64) -> Option<u16> {
    (value.fract() == 0.0 && (0.0..=f64::from(u16::MAX)).contains(&value)).then_some(value as u16)
}

/// Text up to the first zero byte.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default())
}
