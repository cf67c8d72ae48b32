// SPDX-License-Identifier: Apache-2.0
// The plain routes.
#include "node/http/routes.hpp"

#include "node/http/policy.hpp"
#include "node/http/web_files.hpp"

namespace trainyard::node::http {

using beast_http::field;
using beast_http::status;

namespace {

constexpr std::string_view kContentPolicy =
    "default-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'";

const WebFile* find_web_file(std::string_view path) {
    if (path == "/" || path == "/ui" || path == "/ui/") path = "/index.html";
    for (const auto& file : web_files())
        if (file.path == path) return &file;
    return nullptr;
}

Response answer_web_file(const RequestHead& request, const Options& options, const WebFile& file) {
    const bool is_known = to_view(request[field::if_none_match]) == file.etag;
    auto response = make_response(request, options, is_known ? status::not_modified : status::ok,
                                  file.content_type, is_known ? "" : std::string(file.content));
    response.set(field::etag, boost::beast::string_view(file.etag.data(), file.etag.size()));
    response.set(field::cache_control, "no-cache");
    response.set("Content-Security-Policy",
                 boost::beast::string_view(kContentPolicy.data(), kContentPolicy.size()));
    return response;
}

Response answer_ready(const RequestHead& request, Shared& shared) {
    const auto why = shared.hooks.why_not_ready ? shared.hooks.why_not_ready() : std::string();
    if (why.empty()) return make_text(request, shared.options, status::ok, "ready\n");
    return make_text(request, shared.options, status::service_unavailable, why + "\n");
}

}  // namespace

void add_cors(beast_http::fields& to, const RequestHead& request, const Options& options) {
    const auto origin = to_view(request[field::origin]);
    if (origin.empty() || !is_origin_allowed(origin, options.cors_origins)) return;
    to.set(field::access_control_allow_origin, request[field::origin]);
    to.set(field::vary, "Origin");
}

Response make_response(const RequestHead& request, const Options& options, status code,
                       std::string_view content_type, std::string body) {
    Response response(code, request.version());
    response.set(field::server, "trainyard");
    response.set("X-Content-Type-Options", "nosniff");
    if (!content_type.empty())
        response.set(field::content_type,
                     boost::beast::string_view(content_type.data(), content_type.size()));
    add_cors(response, request, options);
    response.body() = std::move(body);
    return response;
}

Response make_text(const RequestHead& request, const Options& options, status code,
                   std::string_view text) {
    return make_response(request, options, code, "text/plain; charset=utf-8", std::string(text));
}

Response answer_get(const RequestHead& request, Shared& shared) {
    const auto target = to_view(request.target());
    const auto path = target.substr(0, target.find('?'));
    if (path == "/healthz") return make_text(request, shared.options, status::ok, "ok\n");
    if (path == "/readyz") return answer_ready(request, shared);
    if (path == "/metrics" && shared.hooks.metrics)
        return make_response(request, shared.options, status::ok, "text/plain; version=0.0.4",
                             shared.hooks.metrics());
    if (const auto* file = find_web_file(path))
        return answer_web_file(request, shared.options, *file);
    return make_text(request, shared.options, status::not_found, "not found\n");
}

Response answer_options(const RequestHead& request, const Options& options) {
    auto response = make_response(request, options, status::no_content, "", "");
    if (response.count(field::access_control_allow_origin) != 0) {
        response.set(field::access_control_allow_methods, "GET, POST, OPTIONS");
        const auto asked = to_view(request[field::access_control_request_headers]);
        const bool may_send = !asked.empty() && may_pages_send(asked);
        response.set(field::access_control_allow_headers,
                     may_send ? request[field::access_control_request_headers] : "Content-Type");
        response.set(field::access_control_max_age, "600");
    }
    return response;
}

}  // namespace trainyard::node::http
