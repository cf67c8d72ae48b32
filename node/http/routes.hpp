// SPDX-License-Identifier: Apache-2.0
// Responses of the plain routes: page, health, refusals; private to this folder.
#pragma once

#include <string>
#include <string_view>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include "node/http/shared.hpp"

namespace trainyard::node::http {

namespace beast_http = boost::beast::http;
using RequestHead = beast_http::request_header<>;
using Response = beast_http::response<beast_http::string_body>;

/// A response with the headers that all of ours have; CORS according to the request's Origin.
[[nodiscard]] Response make_response(const RequestHead& request, const Options& options,
                                     beast_http::status status, std::string_view content_type,
                                     std::string body);
[[nodiscard]] Response make_text(const RequestHead& request, const Options& options,
                                 beast_http::status status, std::string_view text);
void add_cors(beast_http::fields& to, const RequestHead& request, const Options& options);

/// GET and HEAD of everything that is not a blob.
[[nodiscard]] Response answer_get(const RequestHead& request, Shared& shared);
/// The answer to a CORS preflight.
[[nodiscard]] Response answer_options(const RequestHead& request, const Options& options);

constexpr std::string_view kTooManyOfClient =
    "this address has too many connections and requests here at once\n";

inline std::string_view to_view(boost::beast::string_view text) {
    return {text.data(), text.size()};
}

}  // namespace trainyard::node::http
