// SPDX-License-Identifier: Apache-2.0
// Data sets as blobs with a record index: docs/spec/data.md.
#pragma once

#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "training/program.hpp"
#include "training/tensor.hpp"

namespace trainyard::training {

struct DatasetLimits {
    static constexpr uint64_t bytes_max = 1ull << 40;
    static constexpr uint64_t records_max = 1ull << 32;
    static constexpr uint32_t side_max = 1024;  ///< height and width of an image
    static constexpr uint32_t channels_max = 64;
    static constexpr uint32_t labels_max = 65536;
};

enum class DatasetError {
    truncated,   ///< shorter than what its header says
    bad_header,  ///< unknown kind, or numbers that do not fit it
    bad_index,   ///< an index that does not rise, or leaves the payload
    bad_token,   ///< a token that is not below the vocabulary
    bad_label,   ///< a label that is not below the number of classes
    bad_record,  ///< a record of the source that cannot be read
    too_large,   ///< a limit of DatasetLimits
    empty,       ///< no record at all
};

struct DatasetFault {
    DatasetError error = DatasetError::bad_header;
    int64_t where = -1;  ///< number of the record, document or line; -1: the data set itself
    std::string detail;  ///< what to do about it
};
[[nodiscard]] std::string to_text(const DatasetFault& fault);

/// What the header says, and where the sections lie.
struct DatasetInfo {
    DataKind kind = DataKind::bytes;
    uint64_t elements = 0;  ///< tokens or images
    uint64_t records = 0;   ///< entries of the index: documents or images
    uint32_t height = 0, width = 0, channels = 0;
    uint32_t classes = 0;  ///< vocabulary of tokens, or classes of labels
    uint64_t payload_offset = 0;
    uint64_t base_offset = 0;  ///< 0: no base section
    bool operator==(const DatasetInfo&) const = default;
};

/// The whole data set checked: header, index, tokens, labels. Bytes that do not begin with "TYD1"
/// are text. Cost: one pass over index, tokens and labels.
[[nodiscard]] Result<DatasetInfo, DatasetFault> inspect_dataset(BytesView blob);
/// The part of DataSpec that follows from the data set; sequence, stride and held_out are the
/// program's.
[[nodiscard]] DataSpec data_spec_of(const DatasetInfo& info, const Hash& root, uint64_t size_bytes);
/// How many images have each label, or how often each of the first 256 tokens occurs.
[[nodiscard]] std::vector<uint64_t> count_classes(BytesView blob, const DatasetInfo& info);

/// Tokens of several documents, one after the other; `starts` are their first tokens.
[[nodiscard]] Bytes make_token_dataset(const std::vector<uint16_t>& tokens,
                                       const std::vector<uint64_t>& starts, uint32_t vocabulary);

struct Image {
    uint32_t height = 0, width = 0, channels = 0;
    uint32_t label = 0;
    Bytes pixels;  ///< line by line, channels together
    bool operator==(const Image&) const = default;
};
/// Errors: empty; bad_record (an image of another size than the first one); bad_label; too_large.
[[nodiscard]] Result<Bytes, DatasetFault> make_image_dataset(const std::vector<Image>& images,
                                                             uint32_t classes);
/// Image `i` of a data set that has passed inspect_dataset.
[[nodiscard]] Image image_at(BytesView blob, const DatasetInfo& info, uint64_t i);

/// Appends a base section of constants and given parameters, in program order: `quantise_base` has
/// brought each to its bytes. The header then names it.
[[nodiscard]] Bytes with_base(Bytes blob, const std::vector<Bytes>& parts);
[[nodiscard]] Bytes base_as_float(const Tensor& t);
/// One scale per column and nearest rounding, as numerics.md section 5 quantises a weight.
[[nodiscard]] Bytes base_as_int8(const Tensor& t);

/// Images and labels in the IDX format of MNIST; one channel. Errors: truncated, bad_header,
/// bad_record (another number of labels), too_large.
[[nodiscard]] Result<std::vector<Image>, DatasetFault> read_idx(BytesView images, BytesView labels);

/// The built-in example: circles, squares, triangles and crosses of 16 x 16 in colour, labelled 0
/// to 3; the same for a seed everywhere.
[[nodiscard]] std::vector<Image> make_shapes(uint32_t count, uint32_t seed);

}  // namespace trainyard::training
