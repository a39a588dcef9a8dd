# Doxygen's input filter: changes a header before Doxygen reads it.
#
# - Removes the inline namespace of the version, so that names appear directly in feaug.
# - Makes indented parts of comments (formulas, member lists) code blocks of Markdown: adds an empty
#   line before and after, and four columns of indentation.

{ sub(/namespace feaug::inline FEAUG_VERSION_NAMESPACE/, "namespace feaug") }

/^ *\/\/\/   +[^ ]/ {
  at = index($0, "///")
  before = substr($0, 1, at + 2)
  if (!in_code) print before
  print before "    " substr($0, at + 3)
  in_code = 1
  next
}

{
  if (in_code && $0 ~ /^ *\/\/\/ [^ ]/) print substr($0, 1, index($0, "///") + 2)
  in_code = 0
  print
}
