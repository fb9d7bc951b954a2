//! Images: JPEGs that other decoders accept, extreme proportions.
