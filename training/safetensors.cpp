// SPDX-License-Identifier: Apache-2.0
// Writing and reading safetensors: u64 header length, a JSON header, then the data.
// Source: the format section of the safetensors README (Hugging Face).
#include "training/safetensors.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "training/numerics/functions.hpp"

namespace trainyard::training {

namespace {

constexpr size_t kHeaderBytesMax = 8u << 20;
constexpr size_t kTensorsMax = 4096;
constexpr size_t kTextMax = 4096;

std::string dims_text(Shape s) {
    return s.rank == 1 ? std::to_string(s.cols)
                       : std::to_string(s.rows) + "," + std::to_string(s.cols);
}

struct Entry {
    std::string name;
    std::string dtype;
    std::vector<uint64_t> shape;
    std::vector<uint64_t> offsets;
};

/// The header's subset of JSON: two levels of objects, plain strings, arrays of integers.
class HeaderParser {
public:
    explicit HeaderParser(std::string_view text) : rest_(text) {}

    bool read() {
        if (!take('{')) return false;
        if (!take('}')) {
            do {
                std::string name;
                if (!text(name) || !take(':')) return false;
                if (name == "__metadata__" ? !read_metadata() : !read_entry(std::move(name)))
                    return false;
                if (entries.size() > kTensorsMax) return false;
            } while (take(','));
            if (!take('}')) return false;
        }
        skip();
        return rest_.empty();
    }

    std::vector<Entry> entries;
    Metadata metadata;

private:
    void skip() {
        while (!rest_.empty() && std::string_view(" \t\r\n").find(rest_[0]) != rest_.npos)
            rest_.remove_prefix(1);
    }
    bool take(char c) {
        skip();
        if (rest_.empty() || rest_[0] != c) return false;
        rest_.remove_prefix(1);
        return true;
    }
    bool text(std::string& out) {
        if (!take('"')) return false;
        const size_t end = rest_.find('"');
        if (end == rest_.npos || end > kTextMax) return false;
        out = rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        return std::all_of(out.begin(), out.end(),
                           [](char c) { return c >= ' ' && c <= '~' && c != '\\'; });
    }
    bool number(uint64_t& out) {
        skip();
        size_t digits = 0;
        out = 0;
        for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
            if (digits == 18) return false;
            out = out * 10 + static_cast<uint64_t>(rest_[digits] - '0');
        }
        rest_.remove_prefix(digits);
        return digits > 0;
    }
    bool numbers(std::vector<uint64_t>& out) {
        if (!take('[')) return false;
        if (take(']')) return true;
        do {
            if (out.size() == 8 || !number(out.emplace_back())) return false;
        } while (take(','));
        return take(']');
    }
    bool read_metadata() {
        if (!metadata.empty() || !take('{')) return false;
        if (take('}')) return true;
        do {
            auto& [key, value] = metadata.emplace_back();
            if (metadata.size() > kTensorsMax || !text(key) || !take(':') || !text(value))
                return false;
        } while (take(','));
        return take('}');
    }
    bool read_entry(std::string name) {
        Entry& entry = entries.emplace_back();
        entry.name = std::move(name);
        if (!take('{')) return false;
        int fields = 0;
        do {
            std::string key;
            if (!text(key) || !take(':')) return false;
            const bool ok = key == "dtype"   ? entry.dtype.empty() && text(entry.dtype)
                            : key == "shape" ? entry.shape.empty() && numbers(entry.shape)
                            : key == "data_offsets"
                                ? entry.offsets.empty() && numbers(entry.offsets)
                                : false;
            if (!ok) return false;
            ++fields;
        } while (take(','));
        return fields == 3 && take('}');
    }
    std::string_view rest_;
};

/// Dimensions after the first two fold into the columns.
std::optional<Shape> shape_of(const Entry& entry) {
    const auto& dims = entry.shape;
    if (dims.empty() || dims.size() > 4) return std::nullopt;
    uint64_t cols = 1;
    for (size_t i = 0; i < dims.size(); ++i) {
        if (dims[i] == 0 || dims[i] > (1ULL << 31)) return std::nullopt;
        if (i > 0) cols *= dims[i];
        if (cols > (1ULL << 31)) return std::nullopt;
    }
    const auto first = static_cast<uint32_t>(dims[0]);
    return dims.size() == 1 ? Shape::vector(first)
                            : Shape::matrix(first, static_cast<uint32_t>(cols));
}

/// IEEE binary16 as binary32, exactly.
float from_half(uint16_t h) {
    const uint32_t sign = uint32_t{h & 0x8000U} << 16, exponent = (h >> 10) & 31U, low = h & 1023U;
    if (exponent == 31) return as_float(sign | 0x7f800000U | low << 13);
    if (exponent != 0) return as_float(sign | (exponent + 112) << 23 | low << 13);
    const float small = static_cast<float>(low) * 0x1p-24F;
    return sign != 0 ? -small : small;
}

size_t element_size(const std::string& dtype) {
    if (dtype == "F32") return 4;
    return dtype == "F16" || dtype == "BF16" ? 2 : 0;
}

/// Copies the elements of one tensor as binary32.
void read_elements(Floats& to, const uint8_t* from, const std::string& dtype) {
    if (dtype == "F32") {
        std::memcpy(to.data(), from, to.size() * sizeof(float));
        return;
    }
    for (size_t i = 0; i < to.size(); ++i) {
        const auto word = load_le<uint16_t>(from + 2 * i);
        to[i] = dtype == "F16" ? from_half(word) : as_float(uint32_t{word} << 16);
    }
}

}  // namespace

Bytes write_safetensors(std::vector<NamedTensor> tensors, Metadata metadata) {
    std::sort(tensors.begin(), tensors.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    std::sort(metadata.begin(), metadata.end());
    std::string header = "{";
    if (!metadata.empty()) {
        header += "\"__metadata__\":{";
        for (size_t i = 0; i < metadata.size(); ++i)
            header +=
                (i > 0 ? ",\"" : "\"") + metadata[i].first + "\":\"" + metadata[i].second + "\"";
        header += "}";
    }
    uint64_t at = 0;
    for (const NamedTensor& t : tensors) {
        const uint64_t end = at + t.tensor.data.size() * sizeof(float);
        if (header.size() > 1) header += ",";
        header += "\"" + t.name + R"(":{"dtype":"F32","shape":[)" + dims_text(t.tensor.shape) +
                  "],\"data_offsets\":[" + std::to_string(at) + "," + std::to_string(end) + "]}";
        at = end;
    }
    header += "}";
    header.append((8 - header.size() % 8) % 8, ' ');
    Bytes out;
    out.reserve(8 + header.size() + at);
    append_le(out, static_cast<uint64_t>(header.size()));
    append(out, as_bytes(header));
    for (const NamedTensor& t : tensors)
        append(out, {reinterpret_cast<const uint8_t*>(t.tensor.data.data()),
                     t.tensor.data.size() * sizeof(float)});
    return out;
}

std::string_view to_text(SafetensorsError error) {
    switch (error) {
        case SafetensorsError::truncated:
            return "the file is cut off";
        case SafetensorsError::header_too_large:
            return "its header is too large";
        case SafetensorsError::bad_header:
            return "its header is malformed";
        case SafetensorsError::bad_dtype:
            return "a tensor is neither F32, F16 nor BF16";
        case SafetensorsError::bad_shape:
            return "a tensor is missing, too many, or of another shape";
        case SafetensorsError::bad_offsets:
            return "the file is cut off, or its offsets do not fit";
        case SafetensorsError::too_many:
            return "it has more than 4,096 tensors";
        case SafetensorsError::duplicate_name:
            return "two tensors have one name";
    }
    return "unknown error";
}

Result<SafetensorsFile, SafetensorsError> read_safetensors(BytesView file) {
    if (file.size() < 8) return unexpected(SafetensorsError::truncated);
    const auto length = load_le<uint64_t>(file.data());
    if (length > kHeaderBytesMax) return unexpected(SafetensorsError::header_too_large);
    if (length > file.size() - 8) return unexpected(SafetensorsError::truncated);
    HeaderParser header(as_text(file.subspan(8, length)));
    if (!header.read())
        return unexpected(header.entries.size() > kTensorsMax ? SafetensorsError::too_many
                                                              : SafetensorsError::bad_header);
    const BytesView data = file.subspan(8 + length);
    std::sort(header.entries.begin(), header.entries.end(),
              [](const Entry& a, const Entry& b) { return a.offsets < b.offsets; });
    std::map<std::string, NamedTensor> by_name;
    uint64_t at = 0;
    for (const Entry& entry : header.entries) {
        const size_t unit = element_size(entry.dtype);
        if (unit == 0) return unexpected(SafetensorsError::bad_dtype);
        const auto shape = shape_of(entry);
        if (!shape) return unexpected(SafetensorsError::bad_shape);
        if (entry.offsets.size() != 2 || entry.offsets[0] != at || entry.offsets[1] > data.size() ||
            entry.offsets[1] < at || (entry.offsets[1] - at) / unit != shape->count() ||
            (entry.offsets[1] - at) % unit != 0)
            return unexpected(SafetensorsError::bad_offsets);
        Tensor t = Tensor::zeros(*shape);
        read_elements(t.data, data.data() + at, entry.dtype);
        at = entry.offsets[1];
        if (!by_name.emplace(entry.name, NamedTensor{entry.name, std::move(t)}).second)
            return unexpected(SafetensorsError::duplicate_name);
    }
    if (at != data.size()) return unexpected(SafetensorsError::bad_offsets);
    SafetensorsFile out;
    out.metadata = std::move(header.metadata);
    for (auto& [name, tensor] : by_name) out.tensors.push_back(std::move(tensor));
    return out;
}

Bytes write_model(const Program& program, const std::vector<Tensor>& w, Metadata metadata) {
    ASSERT(w.size() == program.parameters.size());
    std::vector<NamedTensor> tensors;
    for (size_t k = 0; k < w.size(); ++k) tensors.push_back({program.parameters[k].name, w[k]});
    return write_safetensors(std::move(tensors), std::move(metadata));
}

Result<std::vector<Tensor>, SafetensorsError> read_model(const Program& program, BytesView file) {
    auto parsed = read_safetensors(file);
    if (!parsed) return unexpected(parsed.error());
    if (parsed->tensors.size() != program.parameters.size())
        return unexpected(SafetensorsError::bad_shape);
    std::vector<Tensor> w;
    for (const Parameter& p : program.parameters) {
        const auto it = std::find_if(parsed->tensors.begin(), parsed->tensors.end(),
                                     [&p](const NamedTensor& t) { return t.name == p.name; });
        if (it == parsed->tensors.end() || it->tensor.shape != p.shape)
            return unexpected(SafetensorsError::bad_shape);
        w.push_back(std::move(it->tensor));
    }
    return w;
}

}  // namespace trainyard::training
