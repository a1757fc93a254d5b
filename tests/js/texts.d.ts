// The bundler gives a module the text of a file that is none.
declare module "*.py" {
  const text: string;
  export default text;
}
