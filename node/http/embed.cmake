# Writes OUT, a C++ file with the files of DIR as constants: cmake -DDIR=... -DOUT=... -P embed.cmake
set(types html text/html js text/javascript css text/css)
file(GLOB files ${DIR}/*)
list(SORT files)
set(arrays "")
set(rows "")
foreach(file ${files})
  get_filename_component(name ${file} NAME)
  get_filename_component(ext ${file} LAST_EXT)
  string(SUBSTRING "${ext}" 1 -1 ext)
  list(FIND types "${ext}" at)
  if(at LESS 0)
    continue()
  endif()
  math(EXPR at "${at} + 1")
  list(GET types ${at} type)
  string(MAKE_C_IDENTIFIER ${name} id)
  file(READ ${file} hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR size "${digits} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
  file(SHA256 ${file} digest)
  string(SUBSTRING ${digest} 0 16 digest)
  string(APPEND arrays "constexpr char k_${id}[] = {${bytes}'\\0'};\n")
  string(APPEND rows "    {\"/${name}\", \"${type}; charset=utf-8\", \"\\\"${digest}\\\"\", {k_${id}, ${size}}},\n")
endforeach()
file(WRITE ${OUT} "// Generated from web/ by embed.cmake.
#include \"node/http/web_files.hpp\"
namespace trainyard::node::http {
namespace {
${arrays}constexpr WebFile kFiles[] = {
${rows}};
}  // namespace
std::span<const WebFile> web_files() { return kFiles; }
}  // namespace trainyard::node::http
")
