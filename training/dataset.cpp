// SPDX-License-Identifier: Apache-2.0
// Reads and writes the header, the index and the sections of data sets.
#include "training/dataset.hpp"

#include <algorithm>

#include "training/numerics/functions.hpp"
#include "training/numerics/quantise.hpp"

namespace trainyard::training {

namespace {

constexpr uint32_t kMagic = 0x31445954;  // "TYD1"
constexpr size_t kHeaderBytes = 64;
constexpr size_t kBaseField = 56;

template <class... T>
auto refuse(DatasetError error, int64_t where, std::string detail) {
    return unexpected(DatasetFault{error, where, std::move(detail)});
}

uint64_t bytes_per_element(const DatasetInfo& info) {
    if (info.kind == DataKind::tokens_u16) return 2;
    return uint64_t{info.height} * info.width * info.channels + 2;
}

Bytes header_of(const DatasetInfo& info) {
    Bytes out;
    append_le(out, kMagic);
    append_le(out, static_cast<uint32_t>(info.kind));
    append_le(out, info.elements);
    append_le(out, info.records);
    append_le(out, info.height);
    append_le(out, info.width);
    append_le(out, info.channels);
    append_le(out, info.classes);
    append_le(out, uint64_t{kHeaderBytes});
    append_le(out, info.payload_offset);
    append_le(out, info.base_offset);
    return out;
}

Result<Done, DatasetFault> check_numbers(const DatasetInfo& info) {
    const bool images = info.kind == DataKind::images;
    if (!images && info.kind != DataKind::tokens_u16)
        return refuse(DatasetError::bad_header, -1, "the kind is neither tokens nor images");
    if (info.elements == 0 || info.records == 0)
        return refuse(DatasetError::empty, -1, "the data set has no record");
    if (info.elements > DatasetLimits::records_max || info.records > info.elements ||
        info.classes > DatasetLimits::labels_max || info.height > DatasetLimits::side_max ||
        info.width > DatasetLimits::side_max || info.channels > DatasetLimits::channels_max)
        return refuse(DatasetError::too_large, -1,
                      "at most 2^32 records, 65,536 classes, images of 1,024 x 1,024 x 64");
    const bool sized = info.height > 0 && info.width > 0 && info.channels > 0;
    const bool unsized = info.height == 0 && info.width == 0 && info.channels == 0;
    if (info.classes == 0 || (images ? !sized || info.records != info.elements : !unsized))
        return refuse(DatasetError::bad_header, -1, "sizes and classes do not fit the kind");
    return Done{};
}

Result<DatasetInfo, DatasetFault> read_header(BytesView blob) {
    if (blob.size() < kHeaderBytes)
        return refuse(DatasetError::truncated, -1, "the header has 64 bytes");
    const uint8_t* at = blob.data();
    DatasetInfo info;
    info.kind = static_cast<DataKind>(std::min(load_le<uint32_t>(at + 4), 255U));
    info.elements = load_le<uint64_t>(at + 8);
    info.records = load_le<uint64_t>(at + 16);
    info.height = load_le<uint32_t>(at + 24);
    info.width = load_le<uint32_t>(at + 28);
    info.channels = load_le<uint32_t>(at + 32);
    info.classes = load_le<uint32_t>(at + 36);
    info.payload_offset = load_le<uint64_t>(at + 48);
    info.base_offset = load_le<uint64_t>(at + kBaseField);
    auto fine = check_numbers(info);
    if (!fine) return unexpected(fine.error());
    if (load_le<uint64_t>(at + 40) != kHeaderBytes ||
        info.payload_offset != kHeaderBytes + 8 * info.records)
        return refuse(DatasetError::bad_header, -1, "index and payload are not where they belong");
    if (blob.size() < info.payload_offset)
        return refuse(DatasetError::truncated, -1, "the index is cut off");
    const uint64_t end = info.payload_offset + info.elements * bytes_per_element(info);
    if (blob.size() < end)
        return refuse(
            DatasetError::truncated,
            static_cast<int64_t>((blob.size() - info.payload_offset) / bytes_per_element(info)),
            "the payload is cut off: " + std::to_string(end) + " bytes are due, " +
                std::to_string(blob.size()) + " are there");
    const uint64_t due = info.base_offset == 0 ? blob.size() : info.base_offset;
    if (due != end || info.base_offset > blob.size())
        return refuse(DatasetError::bad_header, -1, "bytes are left over between the sections");
    return info;
}

Result<Done, DatasetFault> check_records(BytesView blob, const DatasetInfo& info) {
    const uint8_t* index = blob.data() + kHeaderBytes;
    const bool images = info.kind == DataKind::images;
    for (uint64_t i = 0; i < info.records; ++i) {
        const uint64_t at = load_le<uint64_t>(index + 8 * i);
        const uint64_t before = i == 0 ? 0 : load_le<uint64_t>(index + 8 * (i - 1));
        const bool rises = i == 0 ? at == 0 : at > before;
        if (!rises || at >= info.elements || (images && at != i))
            return refuse(DatasetError::bad_index, static_cast<int64_t>(i),
                          "the index does not rise from 0 inside the payload");
    }
    const uint64_t step = bytes_per_element(info);
    for (uint64_t i = 0; i < info.elements; ++i) {
        const uint8_t* last = blob.data() + info.payload_offset + (i + 1) * step - 2;
        const uint16_t number = load_le<uint16_t>(last);
        if (number < info.classes) continue;
        return refuse(images ? DatasetError::bad_label : DatasetError::bad_token,
                      static_cast<int64_t>(i),
                      std::to_string(number) + " is not below " + std::to_string(info.classes));
    }
    return Done{};
}

}  // namespace

std::string to_text(const DatasetFault& fault) {
    static constexpr const char* kNames[] = {
        "cut off",   "malformed header", "malformed index", "bad token",
        "bad label", "bad record",       "too large",       "empty"};
    std::string text = kNames[static_cast<size_t>(fault.error)];
    if (fault.where >= 0) text += " at number " + std::to_string(fault.where);
    return fault.detail.empty() ? text : text + ": " + fault.detail;
}

Result<DatasetInfo, DatasetFault> inspect_dataset(BytesView blob) {
    if (blob.empty()) return refuse(DatasetError::empty, -1, "the data set has no byte");
    if (blob.size() > DatasetLimits::bytes_max)
        return refuse(DatasetError::too_large, -1, "at most 1 TiB");
    if (blob.size() < 4 || load_le<uint32_t>(blob.data()) != kMagic) {
        DatasetInfo text;
        text.elements = blob.size();
        text.records = 1;
        text.classes = 256;
        return text;
    }
    auto info = read_header(blob);
    if (!info) return info;
    auto fine = check_records(blob, *info);
    if (!fine) return unexpected(fine.error());
    return info;
}

DataSpec data_spec_of(const DatasetInfo& info, const Hash& root, uint64_t size_bytes) {
    DataSpec d;
    d.root = root;
    d.size_bytes = size_bytes;
    d.kind = info.kind;
    if (info.kind == DataKind::bytes) return d;
    d.payload_offset = info.payload_offset;
    d.elements = info.elements;
    d.base_offset = info.base_offset;
    d.channels = info.channels;
    if (info.kind == DataKind::images) {
        d.sequence = info.height * info.width;
        d.stride = 1;
    }
    return d;
}

std::vector<uint64_t> count_classes(BytesView blob, const DatasetInfo& info) {
    std::vector<uint64_t> counts(std::min<uint32_t>(info.classes, 256), 0);
    const uint64_t step = info.kind == DataKind::bytes ? 1 : bytes_per_element(info);
    for (uint64_t i = 0; i < info.elements; ++i) {
        const uint8_t* end = blob.data() + info.payload_offset + (i + 1) * step;
        const size_t number =
            info.kind == DataKind::bytes ? *(end - 1) : load_le<uint16_t>(end - 2);
        if (number < counts.size()) ++counts[number];
    }
    return counts;
}

Bytes make_token_dataset(const std::vector<uint16_t>& tokens, const std::vector<uint64_t>& starts,
                         uint32_t vocabulary) {
    DatasetInfo info;
    info.kind = DataKind::tokens_u16;
    info.elements = tokens.size();
    info.records = starts.size();
    info.classes = vocabulary;
    info.payload_offset = kHeaderBytes + 8 * info.records;
    Bytes out = header_of(info);
    for (const uint64_t start : starts) append_le(out, start);
    for (const uint16_t token : tokens) append_le(out, token);
    return out;
}

Result<Bytes, DatasetFault> make_image_dataset(const std::vector<Image>& images, uint32_t classes) {
    if (images.empty()) return refuse(DatasetError::empty, -1, "there is no image");
    DatasetInfo info;
    info.kind = DataKind::images;
    info.elements = info.records = images.size();
    info.height = images[0].height;
    info.width = images[0].width;
    info.channels = images[0].channels;
    info.classes = classes;
    info.payload_offset = kHeaderBytes + 8 * info.records;
    auto fine = check_numbers(info);
    if (!fine) return unexpected(fine.error());
    Bytes out = header_of(info);
    for (uint64_t i = 0; i < images.size(); ++i) append_le(out, i);
    for (size_t i = 0; i < images.size(); ++i) {
        const Image& image = images[i];
        const auto at = static_cast<int64_t>(i);
        if (image.height != info.height || image.width != info.width ||
            image.channels != info.channels || image.pixels.size() + 2 != bytes_per_element(info))
            return refuse(DatasetError::bad_record, at,
                          "the image has another size than the first one");
        if (image.label >= classes)
            return refuse(DatasetError::bad_label, at,
                          std::to_string(image.label) + " is not below " + std::to_string(classes));
        append(out, image.pixels);
        append_le(out, static_cast<uint16_t>(image.label));
    }
    return out;
}

Image image_at(BytesView blob, const DatasetInfo& info, uint64_t i) {
    const uint64_t step = bytes_per_element(info);
    const BytesView record = blob.subspan(info.payload_offset + i * step, step);
    return {info.height, info.width, info.channels, load_le<uint16_t>(record.data() + step - 2),
            Bytes(record.begin(), record.end() - 2)};
}

Bytes with_base(Bytes blob, const std::vector<Bytes>& parts) {
    Bytes offset;
    append_le(offset, uint64_t{blob.size()});
    std::copy(offset.begin(), offset.end(), blob.begin() + kBaseField);
    for (const Bytes& part : parts) append(blob, part);
    return blob;
}

Bytes base_as_float(const Tensor& t) {
    Bytes out;
    for (const float x : t.data) append_le(out, bits_of(x));
    return out;
}

Bytes base_as_int8(const Tensor& t) {
    const size_t cols = t.shape.cols;
    std::vector<uint32_t> amax(cols, 0);
    for (size_t i = 0; i < t.data.size(); ++i)
        amax[i % cols] = std::max(amax[i % cols], bits_of(t.data[i]) & 0x7fffffffU);
    Bytes out;
    for (const uint32_t a : amax) append_le(out, bits_of(scale_of(a).s));
    for (size_t i = 0; i < t.data.size(); ++i)
        out.push_back(
            static_cast<uint8_t>(quantise_nearest(t.data[i], scale_of(amax[i % cols]).inv)));
    return out;
}

}  // namespace trainyard::training
