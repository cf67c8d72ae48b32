// SPDX-License-Identifier: Apache-2.0
// Writes JSON by appending to a buffer, with the number forms of JSON-RPC for Ethereum.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/bytes.hpp"
#include "core/uint256.hpp"

namespace trainyard::rpc {

/// The caller opens and closes objects and arrays in pairs; commas come by themselves.
class JsonWriter {
public:
    explicit JsonWriter(std::string& out) : out_(out) {}

    JsonWriter& begin_object();
    JsonWriter& end_object();
    JsonWriter& begin_array();
    JsonWriter& end_array();
    JsonWriter& key(std::string_view name);

    JsonWriter& quantity(uint64_t value);        ///< "0x1f"
    JsonWriter& quantity(const Uint256& value);  ///< "0x1f"
    JsonWriter& data(BytesView bytes);           ///< "0x00ff"
    template <size_t N, class Tag>
    JsonWriter& data(const FixedBytes<N, Tag>& value) {
        return data(BytesView(value.bytes));
    }
    JsonWriter& text(std::string_view value);
    JsonWriter& boolean(bool value);
    JsonWriter& number(uint64_t value);
    JsonWriter& number(double value);  ///< shortest form that reads back; not finite: null
    JsonWriter& null();
    JsonWriter& raw(std::string_view json);  ///< a value that is JSON already

    [[nodiscard]] size_t size() const { return out_.size(); }

private:
    void separate();
    void hex_digits(BytesView bytes);

    std::string& out_;
    bool comma_ = false;
};

/// Appends `text` as a quoted JSON string, with U+FFFD for each byte that is not UTF-8: who gets
/// another one over a WebSocket has to close it (RFC 6455, section 8.1).
void append_json_string(std::string& out, std::string_view text);

}  // namespace trainyard::rpc
