// SPDX-License-Identifier: Apache-2.0
// The frame of JSON-RPC 2.0: which ids, versions and shapes are a request.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rpc/error.hpp"

#include <boost/json/fwd.hpp>

namespace trainyard::rpc {

struct Envelope {
    std::string id;  ///< JSON text to echo; empty: a notification
    std::string_view method;
    const boost::json::array* params = nullptr;  ///< null: none
};

struct EnvelopeError {
    std::string id;  ///< JSON text; "null" where the request has no usable one
    Error error;
};

/// `source` is the text that `item` was parsed from; numbers that no machine type holds are echoed
/// from there.
[[nodiscard]] Result<Envelope, EnvelopeError> read_envelope(const boost::json::value& item,
                                                            std::string_view source);
/// Cuts the text of a valid JSON array into the texts of its elements.
[[nodiscard]] std::vector<std::string_view> split_array(std::string_view source);

void write_answer(std::string& out, std::string_view id, std::string_view result);
void write_error(std::string& out, std::string_view id, const Error& error);

}  // namespace trainyard::rpc
