# Runs a Redis server for as long as standard input stays open, which is as long as whoever started this lives.
# $1 is the server's folder, removed when the owner is gone; the rest is its command line. Prints the server's process id.
folder=$1
shift
exec 3<&0
"$@" </dev/null >/dev/null 2>&1 3<&- &
server=$!
echo "$server"
exec >&-
{
  read -r _ <&3
  trap '' TERM # the server's end, next, must not end this before the folder is gone
  kill -9 "$server"
  rm -rf "$folder"
} 2>/dev/null &
guard=$!
wait "$server"
code=$?
kill "$guard"
exit "$code"
